#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# run.sh builds packaging/Dockerfile on a base image that debootstrap makes, runs the monitor in
# privileged containers and checks that it shows the calls of a process outside them. Images and
# layers lie in a storage of its own below build/image/cache, so that a second run is quick and the
# user's own images are not touched. It needs root, buildah, podman and no Docker engine.
# shellcheck disable=SC2317 # functions are handed to wait_for and trap
set -euo pipefail
cd "$(dirname "$0")/../.."

suite=bookworm
base=docker.io/library/debian:bookworm-slim
image=localhost/trapline
cache=$PWD/${BUILD:-build}/image/cache
reads=700
writes=400
patience_s=20
passed=0 failed=0 skipped=0
shims=() # each container's conmon, which is podman's hand in its end
victim=

pass()
{
	printf 'PASS image/%s\n' "$1"
	passed=$((passed + 1))
}

fail()
{
	printf 'FAIL image/%s: %s\n' "$1" "$2"
	failed=$((failed + 1))
}

skip()
{
	printf 'SKIP %s: %s\n' "$1" "$2"
	skipped=$((skipped + 1))
}

end()
{
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	exit $((failed > 0))
}

# equal NAME GOT WANTED
equal()
{
	if [[ $2 == "$3" ]]; then
		pass "$1"
	else
		fail "$1" "got '$2', wanted '$3'"
	fi
}

# matches NAME TEXT REGEX
matches()
{
	if grep -qE -- "$3" <<<"$2"; then
		pass "$1"
	else
		fail "$1" "nothing matches /$3/ in: $(tail -n 12 <<<"$2")"
	fi
}

# wait_for COMMAND...: until it succeeds, at most patience_s.
wait_for()
{
	local end=$((SECONDS + patience_s))

	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.05
	done
}

# --- the compose file ---

# The words of the command in what compose made of the file, one a line. Compose 1 writes them as
# one string, compose 2 as a list.
compose_words()
{
	local rendered=$1 line

	line=$(sed -nE "s/^ *command: *'?([^']*)'?\$/\1/p" <<<"$rendered")
	[[ -n $line ]] ||
		line=$(sed -n '/^ *command:/,/^ *[a-z_]*:/s/^ *- //p' <<<"$rendered")
	xargs -n 1 <<<"$line"
}

# compose_passes NAME ARGUMENTS UID WORDS
compose_passes()
{
	local rendered words

	if ! rendered=$(TRAPLINE_ARGS=$2 TRAPLINE_UID=$3 "${compose[@]}" config 2>&1); then
		fail "$1" "${compose[*]} config: $(tail -n 3 <<<"$rendered")"
		return
	fi
	words=$(compose_words "$rendered" | tr '\n' ' ')
	equal "$1" "$words" "$4 "
}

test_compose()
{
	local line rendered

	if docker compose version >/dev/null 2>&1; then
		compose=(docker compose)
	elif docker-compose version >/dev/null 2>&1; then
		compose=(docker-compose)
	else
		skip image/compose 'neither docker compose nor docker-compose found'
		return
	fi
	rendered=$("${compose[@]}" config 2>&1) || true
	for line in 'pid: host' 'privileged: true' 'network_mode: host' 'restart: unless-stopped' \
		'dockerfile: packaging/Dockerfile' 'image: trapline'; do
		matches "compose/${line%%:*}" "$rendered" "^ +$line\$"
	done
	compose_passes compose/no-arguments '' '' 'monitor --allow-uid 1000'
	compose_passes compose/one-argument --all 1234 'monitor --allow-uid 1234 --all'
	compose_passes compose/several-arguments '--all -v  --log=/x' '' \
		'monitor --allow-uid 1000 --all -v --log=/x'
}

# --- the image ---

# Prints the name of the first thing that is missing.
missing()
{
	local tool

	((EUID == 0)) || { echo 'root needed' && return; }
	for tool in buildah podman debootstrap curl jq python3 flock; do
		PATH=$PATH:/usr/sbin type -P "$tool" >/dev/null || { echo "$tool not found" && return; }
	done
}

# The machine's own sources of Debian packages for the suite, as lines of sources.list; nothing
# where it has none.
machine_sources()
{
	# shellcheck disable=SC2016 # the variables are those of apt
	apt-get indextargets --format \
		'$(ORIGIN) $(CODENAME) deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' \
		2>/dev/null | sed -nE "s/^Debian $suite(-[a-z]+)? (deb .*)/\2/p" | sort -u
}

# What the build needs to know of the machine's apt. It is mounted while the image is built and
# becomes no part of any image.
make_apt_files()
{
	machine_sources >"$tmp/sources.list"
	apt-config dump Acquire 2>/dev/null | grep -v IndexTargets >"$tmp/apt.conf" || true
	cat /etc/apt/auth.conf /etc/apt/auth.conf.d/*.conf >"$tmp/auth.conf" 2>/dev/null || true
	apt_mounts=(-v "$tmp/apt.conf:/etc/apt/apt.conf:ro" -v "$tmp/auth.conf:/etc/apt/auth.conf:ro")
	[[ ! -s $tmp/sources.list ]] ||
		apt_mounts+=(-v "$tmp/sources.list:/etc/apt/sources.list:ro")
}

make_base()
{
	local mirror=()

	[[ ! -s $cache/base-$suite.tar ]] || return 0
	read -ra mirror <<<"$(awk -v suite="$suite" '$3 == suite { print $2; exit }' "$tmp/sources.list")"
	timeout 900 debootstrap --variant=minbase "$suite" "$tmp/root" "${mirror[@]}" \
		>"$tmp/debootstrap.log" 2>&1 || return 1
	: >>"$tmp/root/etc/apt/apt.conf"
	: >>"$tmp/root/etc/apt/auth.conf"
	tar -C "$tmp/root" --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' \
		--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./dev/*' \
		--exclude='./usr/share/locale/*' -cf "$cache/base-$suite.tar.new" . || return 1
	rm -rf --one-file-system "$tmp/root"
	mv "$cache/base-$suite.tar.new" "$cache/base-$suite.tar"
}

# Podman and buildah see this storage alone. Podman's own state is not kept between runs.
use_own_storage()
{
	local runtime=

	[[ -z $(type -P runc) ]] || runtime='runtime = "runc"'
	cat >"$tmp/containers.conf" <<-END
		[containers]
		default_ulimits = []
		log_driver = "k8s-file"
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		lock_type = "file"
		static_dir = "$tmp/libpod"
		tmp_dir = "$tmp/libpod-tmp"
		volume_path = "$tmp/volumes"
		$runtime
	END
	cat >"$tmp/storage.conf" <<-END
		[storage]
		driver = "overlay"
		graphroot = "$cache/storage"
		runroot = "$tmp/run"
	END
	export CONTAINERS_CONF=$tmp/containers.conf CONTAINERS_STORAGE_CONF=$tmp/storage.conf
}

pod()
{
	timeout 120 podman "$@"
}

# The stage with the build's packages gets a name, so that what is pruned afterwards is not that.
build()
{
	local options=(--layers --force-rm --isolation=chroot --network=host --pull=never
		-f packaging/Dockerfile "${apt_mounts[@]}")

	pod image exists "$base" || pod import "$cache/base-$suite.tar" "$base" || return 1
	timeout 1500 buildah bud "${options[@]}" --target tools -t "$image-tools" . &&
		timeout 1500 buildah bud "${options[@]}" -t "$image" . &&
		pod image prune -f
}

# --- the monitor in a container ---

# start PODMAN-OPTION...: sets container and port, and waits for the API.
start()
{
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	if ! pod run -d --privileged --network=host --ulimit=host --cidfile "$tmp/$port.id" \
		"$@" "$image" monitor --listen "127.0.0.1:$port" >/dev/null 2>"$tmp/run.err"; then
		tail -n 3 "$tmp/run.err" >&2
	fi
	container=$(cat "$tmp/$port.id" 2>/dev/null) || return 1
	shims+=("$(pod inspect -f '{{.State.ConmonPid}}' "$container")")
	wait_for api target_pids
}

api()
{
	curl -fsS --noproxy '*' --max-time 10 -o "$tmp/answer" "http://127.0.0.1:$port/$1" "${@:2}" \
		2>/dev/null
}

read_output()
{
	pod logs "$container" >"$tmp/out" 2>"$tmp/err"
}

# Its letter; nothing where there is no such process.
process_state()
{
	sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null || true
}

is_stopped()
{
	[[ $(process_state "$victim") == T ]]
}

# A process of this shell, outside of all containers, that makes a known number of calls.
make_calls()
{
	"$helper" calls "$reads" "$writes" &
	victim=$!
	wait_for is_stopped &&
		api add_pid -d "{\"pid\": $victim}" &&
		kill -CONT "$victim" &&
		wait_for is_stopped
}

has_lines()
{
	read_output
	(($(grep -c ' was called$' "$tmp/out") >= $1))
}

end_victim()
{
	[[ -z $victim ]] || kill -KILL "$victim" 2>/dev/null || true
	[[ -z $victim ]] || wait "$victim" 2>/dev/null || true
	victim=
}

# The calls of the one process, and no others, are there after the end of the monitor.
test_calls()
{
	local name=$1 pid

	if ! make_calls; then
		fail "$name/calls" 'the process outside did not make its calls'
		return
	fi
	pid=$victim
	wait_for has_lines $((reads + writes)) || true
	end_victim
	test_end "$name"
	equal "$name/reads-outside" \
		"$(grep -c "^$pid - hello sys_read was called\$" "$tmp/out")" "$reads"
	equal "$name/writes-outside" \
		"$(grep -c "^$pid - hello sys_write was called\$" "$tmp/out")" "$writes"
	equal "$name/no-other-calls" "$(grep -c ' was called$' "$tmp/out")" $((reads + writes))
}

test_end()
{
	if ! pod stop -t 10 "$container" >/dev/null 2>"$tmp/stop.err"; then
		fail "$1/stop" "$(tail -n 3 "$tmp/stop.err")"
		return
	fi
	equal "$1/stop-status" \
		"$(pod inspect -f '{{.State.ExitCode}}' "$container")" 0
	read_output
	equal "$1/last-line" "$(tail -n 1 "$tmp/out")" 'Exiting...'
}

# The PID in the host's namespace of the first process of the container.
host_pid()
{
	pod inspect -f '{{.State.Pid}}' "$container"
}

start_lines()
{
	cat <<-END
		Loading eBPF program
		Monitoring sys_read and sys_write calls...
		Host PID: $1
		Skipping self PID: $1
		Initial state: No PIDs in target list, print_all disabled
		API Server starting on localhost:$port
	END
}

test_container()
{
	local name=$1
	shift

	if ! start "$@" 2>"$tmp/start.err"; then
		[[ -z ${container:-} ]] || read_output
		fail "$name/start" "$(cat "$tmp/start.err" "$tmp/err" 2>/dev/null | tail -n 5)"
		return
	fi
	read_output
	equal "$name/start-lines" "$(head -n 6 "$tmp/out")" "$(start_lines "$(host_pid)")"
	if [[ " $* " == *' --pid=host '* ]]; then
		equal "$name/no-warning" "$(grep -c warning "$tmp/err")" 0
	else
		matches "$name/warning" "$(cat "$tmp/err")" "warning: .*PID $(host_pid) .*API"
	fi
	test_calls "$name"
}

has_ended()
{
	[[ ! $(process_state "$1") =~ [^Z] ]]
}

clean_up()
{
	local mount shim

	trap - EXIT INT TERM
	end_victim
	# Of this run alone: no other knows of the state in $tmp.
	pod rm -f -t 0 -a >/dev/null 2>&1 || true
	for shim in "${shims[@]}"; do
		wait_for has_ended "$shim" || true
	done
	# A build that failed leaves its working containers mounted.
	timeout 120 buildah rm -a >/dev/null 2>&1 || true
	for mount in "$cache/storage/overlay" "$tmp/root/proc" "$tmp/root/sys"; do
		! mountpoint -q "$mount" || umount "$mount" || true
	done
	rm -rf --one-file-system "$tmp"
}

compose=()
test_compose
why=$(missing)
if [[ -n $why ]]; then
	skip image "$why"
	end
fi

helper=${BUILD:-build}/test/live/victim
tmp=$(mktemp -d /tmp/trapline-image.XXXXXX)
trap clean_up EXIT
trap 'exit 130' INT TERM
mkdir -p "$cache"
chmod 0700 "$cache"
exec 9>"$cache/lock"
flock -w 1800 9 || { fail lock 'another run of this test holds the storage'; end; }
make --no-print-directory "$helper" >"$tmp/make.log" 2>&1 ||
	{ fail helper "$(tail -n 5 "$tmp/make.log")"; end; }
use_own_storage
make_apt_files
make_base || { fail base "$(tail -n 5 "$tmp/debootstrap.log")"; end; }
pass base
build >"$tmp/build.log" 2>&1 || { fail build "$(tail -n 15 "$tmp/build.log")"; end; }
pass build
test_container host-pids --pid=host
test_container own-pids
end
