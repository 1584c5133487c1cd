# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What kernel.sh takes out of an unpacked kernel package.

kernel.py image VMLINUZ OUT        the kernel inside a compressed image, if it is one: an ELF file
                                   from an x86 bzImage, an Image from an arm64 EFI image
kernel.py modules DIR OUT NAME...  the modules of these names below DIR and all they depend on, as
                                   OUT/NN-NAME.ko, NN being the order to load them in
"""
import gzip
import lzma
import pathlib
import re
import shutil
import struct
import subprocess
import sys


def unpack(data):
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(data)
    for magic, tool in ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\x02\x21\x4c\x18", "lz4")):
        if data[:4] == magic:
            # What follows the payload in the image makes these tools complain after the last byte.
            # Without the tool there is no quicker kernel, and the image as it came boots too.
            if not shutil.which(tool):
                return b""
            done = subprocess.run([tool, "-dc"], input=data, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, check=False)
            return done.stdout
    return data


def payload(image):
    """Offsets: Documentation/arch/x86/boot.rst; drivers/firmware/efi/libstub/zboot-header.S."""
    if image[0x202:0x206] == b"HdrS":
        sectors = image[0x1F1] or 4
        offset, length = struct.unpack_from("<II", image, 0x248)
        return image[(sectors + 1) * 512 + offset:][:length]
    if image[:2] == b"MZ" and image[4:8] == b"zimg":
        offset, length = struct.unpack_from("<II", image, 8)
        return image[offset:][:length]
    return None


def extract_image(source, out):
    inner = payload(pathlib.Path(source).read_bytes())
    if inner is None:
        return
    kernel = unpack(inner)
    if kernel[:4] == b"\x7fELF" or kernel[0x38:0x3C] == b"ARM\x64":
        pathlib.Path(out).write_bytes(kernel)


def module_name(path):
    return re.sub(r"\.ko(\.\w+)?$", "", path.name).replace("-", "_")


def collect(name, files, order):
    """Packages come without modules.dep; what a module depends on stands in the module itself."""
    if name in order or name not in files:
        return  # seen, or built in
    data = unpack(files[name].read_bytes())
    found = re.search(rb"\0depends=([^\0]*)\0", data)
    for dependency in found.group(1).decode().split(",") if found else ():
        collect(dependency.replace("-", "_"), files, order)
    order[name] = data


def extract_modules(source, out, names):
    files = {module_name(p): p for p in pathlib.Path(source).rglob("*.ko*")}
    order = {}
    for name in names:
        collect(name, files, order)
    for number, (name, data) in enumerate(order.items()):
        (pathlib.Path(out) / f"{number:02}-{name}.ko").write_bytes(data)


if sys.argv[1] == "image":
    extract_image(sys.argv[2], sys.argv[3])
else:
    extract_modules(sys.argv[2], sys.argv[3], sys.argv[4:])
