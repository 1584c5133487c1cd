#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# test_api.sh [URL | unix:/PATH] checks every call of the v0 API against a running monitor, on
# the same machine and in the same PID namespace. The address is http://localhost:8080 unless it
# is given there or in TRAPLINE_URL. TRAPLINE_TOKEN is sent where the monitor wants a token.
# shellcheck disable=SC2016 # the variables in filters are those of jq
set -euo pipefail

base=${1:-${TRAPLINE_URL:-http://localhost:8080}}
pid_max=4194304
body_max=65536
passed=0
failed=0
own_process=

die()
{
	printf 'test_api: %s\n' "$1" >&2
	exit 1
}

for tool in curl jq; do
	type -P "$tool" >/dev/null || die "$tool is needed and was not found"
done

tmp=$(mktemp -d)
curl_options=(--silent --show-error --noproxy '*' --connect-timeout 5 --max-time 20)
[[ -z ${TRAPLINE_TOKEN:-} ]] || curl_options+=(-H "Authorization: Bearer $TRAPLINE_TOKEN")
where=$base
if [[ $base == unix:* ]]; then
	curl_options+=(--unix-socket "${base#unix:}")
	base=http://localhost
fi
base=${base%/}

# Sets status, content_type and allow; the body goes to $tmp/body, and is empty where curl failed.
# Further arguments go to curl.
request()
{
	local method=$1 path=$2
	shift 2

	status=000 content_type='' allow=''
	: >"$tmp/head"
	: >"$tmp/body"
	status=$(curl "${curl_options[@]}" -X "$method" -D "$tmp/head" -o "$tmp/body" \
		-w '%{http_code}' "$@" "$base$path" 2>"$tmp/error") || true
	content_type=$(header content-type)
	allow=$(header allow)
}

header()
{
	tr -d '\r' <"$tmp/head" | sed -n "s/^$1:[[:space:]]*//Ip" | tail -n 1
}

pass()
{
	printf 'PASS %s\n' "$1"
	passed=$((passed + 1))
}

fail()
{
	printf 'FAIL %s: %s\n' "$1" "$2"
	failed=$((failed + 1))
}

answer()
{
	printf '%s %s %s%s' "$status" "${content_type:-(no content type)}" \
		"$(head -c 300 "$tmp/body")" "$(head -n 1 "$tmp/error")"
}

# True where the body is one JSON text for which the jq filter holds. Further arguments go to jq.
holds()
{
	local filter=$1
	shift

	jq -e -s "$@" "length == 1 and (.[0] | $filter)" "$tmp/body" >/dev/null 2>&1
}

# right NAME FILTER [JQ-ARGUMENT]...: the last answer is 200, JSON, and the filter holds for it.
right()
{
	local name=$1
	shift

	if [[ $status == 200 && $content_type == application/json ]] && holds "$@"; then
		pass "$name"
	else
		fail "$name" "$(answer)"
	fi
}

post()
{
	request POST "$1" --data-binary "$2"
}

# Both lists and the flag, in one line.
state()
{
	request GET /target_pids
	cat "$tmp/body"
	post /print_all_ips '{"print_all_ips": true}'
	cat "$tmp/body"
}

# refused NAME STATUSES METHOD PATH [CURL-ARGUMENT]...: one of the statuses, {"error": TEXT} and no
# change. Where expected_error is set, that is the text.
refused()
{
	local name=$1 statuses=$2 method=$3 path=$4 before result
	local filter='keys == ["error"] and (.error | type == "string" and length > 0)'
	shift 4

	before=$(state)
	request "$method" "$path" "$@"
	result=$(answer)
	if [[ " $statuses " != *" $status "* || $content_type != application/json ]]; then
		fail "$name" "expected $statuses, got $result"
	elif ! holds "$filter"; then
		fail "$name" "not of the form {\"error\": TEXT}: $result"
	elif [[ -n ${expected_error:-} ]] &&
		! holds '.error == $text' --arg text "$expected_error"; then
		fail "$name" "another text than '$expected_error': $result"
	elif [[ $status == 405 && " ${allow//,/ } " != *" $wanted_method "* ]]; then
		fail "$name" "Allow is '$allow', not $wanted_method"
	elif [[ $(state) != "$before" ]]; then
		fail "$name" "refused, and yet something was changed"
	else
		pass "$name"
	fi
}

# bad PATH BODY...: each of the bodies gets 400.
bad()
{
	local path=$1 body
	shift

	for body in "$@"; do
		refused "$path refuses ${body:-an empty body}" 400 POST "$path" --data-binary "$body"
	done
}

clear_lists()
{
	request POST /clear_pid_list
	post /clear_ip_list '{"clear_ip_list": true}'
}

finish()
{
	trap - EXIT
	[[ -z $own_process ]] || kill "$own_process" 2>/dev/null || true
	clear_lists
	rm -rf "$tmp"
}

# The highest number that is no process at the moment, below the one given.
free_pid()
{
	local pid=$(($1 - 1))

	while [[ -e /proc/$pid ]]; do
		pid=$((pid - 1))
	done
	printf '%s' "$pid"
}

test_apis()
{
	local name
	local names=("GET /apis" "POST /add_pid" "POST /add_pids" "POST /clear_pid_list"
		"POST /set_print_all" "GET /target_pids" "POST /add_ips" "POST /clear_ip_list"
		"POST /print_all_ips")

	request GET /apis
	right '/apis has its two keys' 'keys == ["available_apis", "usage"]'
	right '/apis lists strings' '.available_apis | type == "array" and all(type == "string")'
	for name in "${names[@]}"; do
		right "/apis lists $name" '.available_apis | any(startswith($name + " - "))' \
			--arg name "$name"
	done
	right '/apis lists v0 before all else' \
		'.available_apis | (map(contains(" /v1")) | index(true) // length) >= $count' \
		--argjson count "${#names[@]}"
	right '/apis tells the use of each' '.usage | type == "object" and length > 0 and
		all(keys == ["body", "method"] and all(type == "string"))'
}

pid_answer='(.message | type == "string") and .print_all == false and .total_pids == $total'
one_pid_answer="$pid_answer"' and .added_pid == $pid and
	.message == "PID added successfully and print_all set to false"'
one_pid_keys='keys == ["added_pid", "message", "print_all", "total_pids"]'
may_not_run='(.running | . == null or . == false) and (del(.running) | '

# pids_are NAME PRINT_ALL [PID]...: what /target_pids has to say.
pids_are()
{
	local name=$1 print_all=$2
	shift 2

	request GET /target_pids
	right "$name" '. == {"message": "Target PIDs and print_all flag state retrieved successfully",
		"pids": $pids, "total_pids": ($pids | length), "print_all": $print_all}' \
		--argjson print_all "$print_all" --argjson pids "$(printf '%s\n' "$@" | jq -s 'sort')"
}

add_one()
{
	local name=$1 pid=$2 total=$3 filter=$4

	post /add_pid "{\"pid\": $pid}"
	right "$name" "$filter" --argjson pid "$pid" --argjson total "$total"
}

test_pids()
{
	local absent other last=$pid_max

	absent=$(free_pid "$pid_max")
	other=$(free_pid "$absent")
	request POST /clear_pid_list
	right '/clear_pid_list without a body' '. == {"total_pids": 0, "print_all": false,
		"message": "PID list cleared and print_all set to false"}'
	pids_are '/target_pids of an empty list' false
	add_one '/add_pid of this shell' $$ 1 "$one_pid_keys and $one_pid_answer"
	pids_are '/target_pids has it' false $$
	add_one '/add_pid of the same again' $$ 1 "$one_pid_keys and $one_pid_answer"
	add_one '/add_pid of a PID that no process has' "$absent" 2 \
		"$may_not_run $one_pid_keys and $one_pid_answer)"
	add_one '/add_pid of the highest PID' "$last" 3 \
		"$may_not_run $one_pid_keys and $one_pid_answer)"
	pids_are '/target_pids in ascending order' false $$ "$absent" "$last"

	post /add_pids "{\"pids\": [$other, $$]}"
	right '/add_pids of one old and one new PID' "$may_not_run "'keys == ["added_pids", "message",
		"print_all", "total_pids"] and .added_pids == [$pid, $shell] and '"$pid_answer)" \
		--argjson pid "$other" --argjson shell $$ --argjson total 4
	post /add_pids "{\"pids\": [$other, $other]}"
	right '/add_pids of the same twice' "$may_not_run $pid_answer)" --argjson total 4
	pids_are '/target_pids has them all' false $$ "$absent" "$last" "$other"
	test_print_all $$ "$absent" "$last" "$other"
	test_exit_of_target
}

# Given what is in the list.
test_print_all()
{
	local set='. == {"message": "Print all flag set to true successfully", "print_all": true}'

	request POST /set_print_all
	right '/set_print_all without a body' "$set"
	pids_are '/set_print_all keeps the list' true "$@"
	post /set_print_all '{}'
	right '/set_print_all with {}' "$set"
	post /set_print_all '[1, "any JSON"]'
	right '/set_print_all with any JSON' "$set"
	refused '/set_print_all refuses {' 400 POST /set_print_all --data-binary '{'
	refused '/clear_pid_list refuses {' 400 POST /clear_pid_list --data-binary '{'
	add_one '/add_pid ends print_all' $$ $# "$one_pid_keys and $one_pid_answer"
	pids_are '/target_pids says so' false "$@"
	request POST /set_print_all
	post /clear_pid_list '{}'
	right '/clear_pid_list with {}' '.total_pids == 0 and .print_all == false'
	pids_are '/clear_pid_list ends print_all' false
	post /clear_pid_list '"any JSON"'
	right '/clear_pid_list with any JSON' '.total_pids == 0'
}

test_exit_of_target()
{
	local end=$((SECONDS + 5))

	sleep 600 &
	own_process=$!
	add_one '/add_pid of a child' "$own_process" 1 "$one_pid_keys and $one_pid_answer"
	kill "$own_process"
	wait "$own_process" || true
	own_process=
	until request GET /target_pids && holds '.pids == []' || ((SECONDS >= end)); do
		:
	done
	pids_are 'a target that has ended leaves the list' false
}

# Prints an /add_pid body of as many bytes as are asked for.
long_body()
{
	printf '{"pid": %*s}' $(($1 - 9)) $$
}

test_bad_pids()
{
	local expected_error='Invalid JSON format. Expected: {"pid": 1234}'

	bad /add_pid '' '{' '{"pid": }' "{'pid': 1}" '{"pid": 012}' "{\"pid\": $$} x" \
		"{\"pid\": $$}{\"pid\": $$}" '{}' '{"pid": null}' '{"pid": "1234"}' \
		'{"pid": 1234.5}' '{"pid": true}' '{"pid": [1234]}' '{"pids": [1234]}' \
		'[1234]' '1234' 'null' '"pid"'
	printf '{"pid": %d}\0' $$ >"$tmp/long"
	refused '/add_pid refuses a NUL after the JSON' 400 POST /add_pid --data-binary "@$tmp/long"
	expected_error=
	bad /add_pid '{"pid": 0}' '{"pid": -1}' "{\"pid\": $((pid_max + 1))}" \
		'{"pid": 2147483648}' '{"pid": 4294967297}' '{"pid": 99999999999999999999}'
	bad /add_pids '' '{' '{}' '{"pids": null}' '{"pids": []}' '{"pids": 1234}' \
		'{"pids": "1234"}' "{\"pids\": [$$, 0]}" "{\"pids\": [$$, -1]}" \
		"{\"pids\": [$$, \"$$\"]}" "{\"pids\": [$$, 1.5]}" "{\"pids\": [$$, null]}" \
		"{\"pids\": [[$$]]}" "{\"pids\": [$$, $((pid_max + 1))]}" \
		"{\"pids\": [$$, 4294967297]}" "{\"pids\": [$$]} x" "{\"pid\": $$}" "[$$]"

	long_body "$body_max" >"$tmp/long"
	request POST /add_pid --data-binary "@$tmp/long"
	right "/add_pid with a body of $body_max bytes" "$one_pid_keys and $one_pid_answer" \
		--argjson pid $$ --argjson total 1
	long_body $((body_max + 1)) >"$tmp/long"
	refused '/add_pid with one byte more' 413 POST /add_pid --data-binary "@$tmp/long"
	request POST /clear_pid_list
}

ips_are()
{
	post /print_all_ips '{"print_all_ips": true}'
	right "$1" '. == {"message": "All IPs retrieved successfully", "ips": $ips,
		"total_ips": ($ips | length)}' --argjson ips "$2"
}

# add_ips NAME LIST TOTAL. A monitor that cannot read this kernel's sockets says so in one more key.
add_ips()
{
	post /add_ips "{\"add_ips\": $2}"
	right "$1" '(.warning | . == null or type == "string") and (del(.warning) |
		. == {"message": "IPs added successfully", "added_ips": $ips, "total_ips": $total})' \
		--argjson ips "$2" --argjson total "$3"
}

test_ips()
{
	local texts='["192.0.2.1", "10.0.0.0/8", "2001:db8::1", "2001:db8::/32"]'

	post /clear_ip_list '{"clear_ip_list": true}'
	right '/clear_ip_list' '. == {"message": "IP list cleared successfully", "total_ips": 0}'
	ips_are '/print_all_ips of an empty list' '[]'
	add_ips '/add_ips of numbers' '[3, 1, 4294967295, 0]' 4
	add_ips '/add_ips of the same again' '[1, 3]' 4
	add_ips '/add_ips of texts and prefixes' "$texts" 8
	ips_are '/print_all_ips in the order added, as sent' \
		"$(jq -c '[3, 1, 4294967295, 0] + .' <<<"$texts")"
	bad /add_ips '' '{' '{}' '{"add_ips": null}' '{"add_ips": []}' '{"add_ips": 1}' \
		'{"add_ips": "10.0.0.1"}' '{"add_ips": [5, -1]}' '{"add_ips": [5, 4294967296]}' \
		'{"add_ips": [5, 1.5]}' '{"add_ips": [5, null]}' '{"add_ips": [5, true]}' \
		'{"add_ips": [5, [6]]}' '{"add_ips": [5, ""]}' '{"add_ips": [5, "10.0.0"]}' \
		'{"add_ips": [5, "10.0.0.256"]}' '{"add_ips": [5, "10.0.0.0/33"]}' \
		'{"add_ips": [5, "10.0.0.0/"]}' '{"add_ips": [5, "2001:db8::/129"]}' \
		'{"add_ips": [5, "2001:db8:::1"]}' '{"add_ips": [5, "example"]}' \
		'{"add_ips": [5]} x' '[5]'
	bad /clear_ip_list '' '{' '{}' '{"clear_ip_list": null}' '{"clear_ip_list": true} x' '[]'
	bad /print_all_ips '' '{' '{}' '{"print_all_ips": null}' '{"print_all_ips": true} x' '[]'
	post /clear_ip_list '{"clear_ip_list": true}'
	right '/clear_ip_list of a full list' '.total_ips == 0'
	ips_are '/print_all_ips is empty again' '[]'
}

test_refusals()
{
	local path wanted_method

	refused 'an unknown path' 404 GET /no_such_call
	refused 'an unknown path under POST' 404 POST /add_pid/more --data-binary "{\"pid\": $$}"
	for path in add_pid add_pids clear_pid_list set_print_all add_ips clear_ip_list print_all_ips; do
		wanted_method=POST
		refused "GET /$path" 405 GET "/$path"
		refused "DELETE /$path" 405 DELETE "/$path"
	done
	for path in apis target_pids; do
		wanted_method=GET
		refused "POST /$path" 405 POST "/$path" --data-binary '{}'
	done
	[[ $where != unix:* ]] || return 0
	refused 'the Host of another site' '400 403 421' POST /add_pid \
		-H 'Host: site.example' --data-binary "{\"pid\": $$}"
	refused 'the Origin of another site' '400 403' POST /add_pid \
		-H 'Origin: http://site.example' --data-binary "{\"pid\": $$}"
}

trap 'rm -rf "$tmp"' EXIT
request GET /apis
[[ $status != 000 ]] || die "no monitor answers at $where ($(head -n 1 "$tmp/error"))"
[[ $status != 401 && $status != 403 ]] || die "the monitor at $where does not let this user in: $(answer)"

printf 'Testing the API at %s. Its lists of PIDs and IPs are cleared, now and at the end.\n' "$where"
trap finish EXIT
clear_lists
test_apis
test_pids
test_bad_pids
test_ips
test_refusals
finish
printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
