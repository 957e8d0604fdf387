#!/bin/sh
#
# scripts.sh - bin/pha, bin/pha-status, bin/install, bin/uninstall and the init script, with doubles of the programs.
#
# Prints TAP; exits 1 if a test failed. Everything happens below a temporary directory. Proves P4, P56.

set -u
self=$(readlink -f -- "$0")
tree=${self%/*/*}
unset PHA_HOME PHA_VARDIR CARGO_TARGET_DIR
number=0 failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"; kill $daemons 2>/dev/null' EXIT
trap 'exit 1' INT TERM HUP
daemons=

result() { # ok or "not ok", the sentence
    number=$((number + 1))
    echo "$1 $number - $2"
    [ "$1" = ok ] || failed=$((failed + 1))
}
# expect CODE SENTENCE COMMAND...: the command ends with CODE. Its output is kept in $output.
expect() {
    wanted=$1 sentence=$2
    shift 2
    output=$("$@" 2>&1)
    got=$?
    if [ $got -eq "$wanted" ]; then
        result ok "$sentence"
    else
        result "not ok" "$sentence"
        echo "# $*: exit $got instead of $wanted: $output"
    fi
}
says() { # WORDS SENTENCE: the last output holds WORDS
    case $output in
    *"$1"*) result ok "$2" ;;
    *) result "not ok" "$2" && echo "# '$1' is not in: $output" ;;
    esac
}
holds() { # SENTENCE TEST-ARGUMENTS...
    sentence=$1
    shift
    if [ "$@" ]; then result ok "$sentence"; else result "not ok" "$sentence" && echo "# $*"; fi
}

# A tree to install from, with programs that only tell how they were called.
source=$work/source
mkdir -p "$source/target/release" "$source/docs" "$source/etc"
cp -R "$tree/bin" "$tree/res" "$source/"
rm -f "$source"/bin/pha-sender "$source"/bin/pha-receiver "$source"/bin/pha-supervise "$source"/bin/pha-cli
cp -R "$tree/etc/init.d" "$tree/etc/systemd" "$source/etc/"
echo 'NODES=lb1 lb2' >"$source/etc/config"
echo text >"$source/docs/agents.md"
: >"$source/Cargo.toml"
for program in pha-sender pha-receiver pha-supervise pha-address; do
    printf '#!/bin/sh\n' >"$source/target/release/$program"
done
cat >"$source/target/release/pha-cli" <<'END'
#!/bin/sh
[ "$1" != stat ] || exec cat "$PHA_HOME/stat"
echo "$PHA_HOME $*"
exit "${FAKE_CODE:-0}"
END
chmod 755 "$source"/target/release/*

# Nobody is to become a user of this machine.
mkdir "$work/doubles"
printf '#!/bin/sh\necho "$*" >>%s/users\n' "$work" >"$work/doubles/useradd"
chmod 755 "$work/doubles/useradd"
PATH=$work/doubles:$PATH
: >"$work/users"

# install
prefix=$work/opt/pha
expect 0 "install: copies without a build" "$source/bin/install" --no-build "$prefix"
says "$prefix/bin/pha-cli check" "install: says what comes next"
for file in bin/pha bin/pha-cli bin/pha-address bin/uninstall res/ipaddr etc/init.d/pha; do
    holds "install: $file can be run" -x "$prefix/$file"
done
holds "install: the configuration is there" -f "$prefix/etc/config"
holds "install: what was installed is noted where only its owner writes" -f "$prefix/etc/installed" -a ! -e "$prefix/var/installed"
holds "install: var/run and var/log are there" -d "$prefix/var/run" -a -d "$prefix/var/log"
holds "install: agents have mode 0755" "$(stat -c %a "$prefix/res/ipaddr")" = 755
holds "install: the configuration has mode 0644" "$(stat -c %a "$prefix/etc/config")" = 644
output=$(cat "$prefix"/etc/systemd/*.service)
says "ExecStart=$prefix/bin/pha-supervise --foreground" "install: units name the prefix"

echo mine >"$prefix/etc/config"
echo key >"$prefix/etc/authkey"
exec 9<"$prefix/bin/pha-sender"
expect 0 "install: a second time" "$source/bin/install" --no-build "$prefix"
says "etc/config.new" "install: says that a configuration stayed"
holds "install: a configuration that is there stays" "$(cat "$prefix/etc/config")" = mine
holds "install: the key stays" "$(cat "$prefix/etc/authkey")" = key
holds "install: an open program keeps its file" ! /proc/$$/fd/9 -ef "$prefix/bin/pha-sender"
exec 9<&-
holds "install: nothing half-written is left" -z "$(find "$prefix" -name '*.new.*' -o -name '*.unit')"
mkdir -p "$work/other/things"
expect 1 "install: a directory of others is refused" "$source/bin/install" --no-build "$work/other"
expect 1 "install: a prefix with blanks is refused" "$source/bin/install" --no-build "$work/a b"
expect 64 "install: an unknown option is a wrong call" "$source/bin/install" --explode
mv "$source/target/release/pha-cli" "$work/pha-cli"
expect 1 "install: a missing program is refused before anything is written" "$source/bin/install" --no-build "$work/none"
holds "install: a refused one writes nothing" ! -e "$work/none"
mv "$work/pha-cli" "$source/target/release/pha-cli"

if [ "$(id -u)" -eq 0 ]; then
    echo 'DAEMON_USER=no-such-user' >"$prefix/etc/config"
    : >"$work/users"
    expect 0 "install: as root, with a user that is missing" "$source/bin/install" --no-build "$prefix"
    output=$(cat "$work/users")
    says "--system --user-group" "install: makes a system user"
    says " no-such-user" "install: with the configured name"
    : >"$work/users"
    expect 0 "install: --no-user" "$source/bin/install" --no-build --no-user "$prefix"
    expect 0 "install: for a package, as root" env DESTDIR="$work/image" "$source/bin/install" --no-build /opt/pha
    echo ' DAEMON_USER = nobody ' >"$prefix/etc/config"
    chmod 600 "$prefix/etc/authkey"
    expect 0 "install: as root, with a user that is there" "$source/bin/install" --no-build "$prefix"
    holds "install: neither of these makes a user" ! -s "$work/users"
    holds "install: a key of mode 0600 is that user's" "$(stat -c %U "$prefix/etc/authkey")" = nobody
    printf '#!/bin/sh\nexit 1\n' >"$work/doubles/useradd"
    echo 'DAEMON_USER=no-such-user' >"$prefix/etc/config"
    expect 0 "install: a user that cannot be made stops nothing" "$source/bin/install" --no-build "$prefix"
    says "stay root" "install: and is told"
    echo mine >"$prefix/etc/config"
else
    echo "ok $((number += 1)) - install: users # SKIP only root can make users"
fi

before=$(cd "$source" && find bin etc res docs -type f ! -name 'pha-*' ! -name installed -exec cksum {} +)
expect 0 "install: into the tree itself" "$source/bin/install" --no-build "$source"
holds "install: the tree gets its programs" -x "$source/bin/pha-cli"
holds "install: the tree keeps its files" "$before" = \
    "$(cd "$source" && find bin etc res docs -type f ! -name 'pha-*' ! -name installed -exec cksum {} +)"
expect 0 "uninstall: from the tree itself" "$source/bin/uninstall" "$source"
holds "uninstall: the tree keeps its scripts" -x "$source/bin/pha" -a -x "$source/bin/pha-status" -a ! -e "$source/bin/pha-cli"

packed=$work/package
expect 0 "install: for a package, with units and init script" \
    env DESTDIR="$packed" "$source/bin/install" --no-build --systemd --init /opt/pha
holds "install: the init script is linked" "$(readlink "$packed/etc/init.d/pha")" = /opt/pha/etc/init.d/pha
output=$(cat "$packed/etc/systemd/system/pha-sender.service")
says "ExecStart=/opt/pha/bin/pha-sender" "install: the units name the place where they will run"
expect 0 "uninstall: from a package" env DESTDIR="$packed" "$source/bin/uninstall" --purge /opt/pha
holds "uninstall: nothing is left" -z "$(find "$packed" ! -type d)"

# pha
stat() { # SENDER RECEIVER SUPERVISE
    printf '%s\n' "\$VAR1 = {" "          'CLI' => 1" "        };" >"$prefix/stat"
    printf '%-16s%s\n' sender: "$1" receiver: "$2" supervise: "$3" >>"$prefix/stat"
}
ln -s "$prefix/bin/pha" "$work/link"
expect 0 "pha: start goes to pha-cli, found through a link" "$work/link" start
says "$prefix start" "pha: pha-cli gets the home"
expect 0 "pha: stop --release goes to pha-cli" "$prefix/bin/pha" stop --release
says "$prefix stop --release" "pha: with its option"
expect 69 "pha: pha-cli's exit code is its own" env FAKE_CODE=69 "$prefix/bin/pha" stop --release
for wrong in '' explode 'start now' 'stop --explode'; do
    # shellcheck disable=SC2086 # several words
    expect 64 "pha: '$wrong' is a wrong call" "$prefix/bin/pha" $wrong
done
stat 10 11 12
expect 0 "pha: status is 0 while all three run" "$prefix/bin/pha" status
expect 0 "init script: start of what runs succeeds" "$prefix/etc/init.d/pha" start
expect 0 "init script: stop releases" "$prefix/etc/init.d/pha" stop
says "stop --release" "init script: stop says release"
expect 1 "init script: a failure is 1" env FAKE_CODE=70 "$prefix/etc/init.d/pha" stop
expect 6 "init script: a wrong configuration is 6" env FAKE_CODE=78 "$prefix/etc/init.d/pha" restart
expect 4 "init script: a missing permission is 4" env FAKE_CODE=77 "$prefix/etc/init.d/pha" force-reload
expect 2 "init script: a wrong call is 2" "$prefix/etc/init.d/pha" explode
stat 10 0 12
expect 1 "pha: status is 1 if one is missing" "$prefix/bin/pha" status
says "not running: pha-receiver" "pha: status names it"
stat 0 0 0
expect 3 "pha: status is 3 if none runs" "$prefix/bin/pha" status
expect 0 "init script: stop of what does not run succeeds" "$prefix/etc/init.d/pha" stop
holds "init script: and does nothing" -z "$output"
expect 0 "init script: stop at a reboot" env RUNLEVEL=6 "$prefix/etc/init.d/pha" stop
says "res stop" "init script: a reboot also stops what a plain stop left running"
expect 0 "pha: stop --release without daemons" "$prefix/bin/pha" stop --release
says "$prefix stop
$prefix res stop" "pha: stop --release without daemons stops the resources"
echo 4711 >"$prefix/var/run/sender.pid"
expect 1 "pha: status is 1 if they were killed" "$prefix/bin/pha" status
rm "$prefix/var/run/sender.pid" "$prefix/stat"
expect 4 "pha: status is 4 if nothing is known" "$prefix/bin/pha" status

# pha-status
var=$prefix/var
head_with() { # ROLE STATUS PID TICK [NODE]
    text=$(printf "%s='%s'\n" NODE "${5:-lb1}" ROLE "$1" STATUS "$2" SUPERVISE_PID "$3" SUPERVISE_TICK "$4" && echo --)
    { printf '#pha-status 1 %d 3 00000000\n%s\n' $((${#text} + 1)) "$text" && printf 'a\0b'; } >"$var/status.dat"
}
now() { read -r uptime _ </proc/uptime && echo $((${uptime%.*} * 1000)); }
shows() { # STATUS PROMPT CODE SENTENCE
    expect "$3" "pha-status: $4" "$prefix/bin/pha-status"
    holds "pha-status: $4: $1" "$output" = "$1"
    expect "$3" "pha-status: $4 (prompt)" "$prefix/bin/pha-status" -p
    holds "pha-status: $4: $2" "$output" = "$2"
}
shows NOTRUNNING NOTRUNNING 0 "without a file"
cp "$(command -v sleep)" "$work/pha-supervise"
"$work/pha-supervise" 60 &
daemons=$!
head_with Active ONLINE $daemons "$(now)"
shows ONLINE Active 0 "an active node"
head_with Standby OFFLINE $daemons "$(now)" "it'\\''s \$(touch $work/evaluated)"
shows OFFLINE Standby 0 "a standby node"
holds "pha-status: evaluates nothing" ! -e "$work/evaluated"
head_with Progress PROGRESS $daemons "$(now)"
shows PROGRESS Progress 0 "a busy node"
head_with Standby '' $daemons "$(now)"
shows OFFLINE Standby 0 "a node without a word"
head_with Active ONLINE $daemons "$(($(now) - 6000))"
shows NOTRUNNING NOTRUNNING 0 "a supervise that has not written for 6 s"
head_with Active ONLINE $daemons "$(($(now) + 60000))"
shows NOTRUNNING NOTRUNNING 0 "a tick from before the last boot"
head_with Active ONLINE $$ "$(now)"
shows NOTRUNNING NOTRUNNING 0 "a process id that another program has"
# Its parent is a program that never asks.
# shellcheck disable=SC2016
sh -c '"$0" 0 & echo $! >"$1"; exec sleep 60' "$work/pha-supervise" "$work/ended" &
parent=$!
tries=0
until grep -qs '^State:.Z' "/proc/$(cat "$work/ended" 2>/dev/null)/status" || [ $tries -gt 100 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
head_with Active ONLINE "$(cat "$work/ended")" "$(now)"
shows NOTRUNNING NOTRUNNING 0 "a supervise that has died and was not reaped"
kill $parent
head_with NOTRUNNING '' 0 0
shows NOTRUNNING NOTRUNNING 0 "a stopped node"
for wrong in 'x' '1;2' '-1' '99999999999'; do
    head_with Active ONLINE "$wrong" "$(now)"
    shows NOTRUNNING NOTRUNNING 1 "the process id '$wrong'"
done
head_with Active ONLINE $daemons "a[\$(touch $work/evaluated)]"
shows NOTRUNNING NOTRUNNING 1 "a tick that is no number"
holds "pha-status: evaluates no tick" ! -e "$work/evaluated"
head_with "\$(touch $work/evaluated)" ONLINE $daemons "$(now)"
shows NOTRUNNING NOTRUNNING 1 "a role that is none"
head_with Active ONLINE $daemons "$(now)"
cp "$var/status.dat" "$work/whole"
end=$(($(wc -c <"$work/whole") - 4))
length=0
while [ $length -lt $end ]; do
    head -c $length "$work/whole" >"$var/status.dat"
    output=$("$prefix/bin/pha-status") && break
    [ "$output" = NOTRUNNING ] || break
    length=$((length + 7))
done
holds "pha-status: a head cut anywhere is damaged" $length -ge $end
mkdir "$prefix/elsewhere" && mv "$work/whole" "$prefix/elsewhere/status.dat"
printf '#VARDIR=/none\n VARDIR=elsewhere \n' >"$prefix/etc/config"
expect 0 "pha-status: finds VARDIR in the configuration" "$prefix/bin/pha-status"
holds "pha-status: finds VARDIR in the configuration: ONLINE" "$output" = ONLINE
expect 64 "pha-status: an unknown option is a wrong call" "$prefix/bin/pha-status" -x
rm -r "$prefix/elsewhere"

# units
if command -v systemd-analyze >/dev/null; then
    mkdir "$work/units"
    for unit in "$source"/etc/systemd/*; do
        sed "s|/opt/pha|$prefix|g" "$unit" >"$work/units/${unit##*/}"
    done
    for program in pha pha-sender pha-receiver pha-supervise; do [ -x "$prefix/bin/$program" ] || echo "# no $program"; done
    expect 0 "units: systemd understands them" systemd-analyze verify --man=no "$work"/units/*
    holds "units: and finds nothing to say" -z "$output"
    for program in pha-sender pha-receiver; do
        expect 0 "units: $program is in a sandbox" \
            systemd-analyze security --offline=true --threshold=40 "$work/units/$program.service"
    done
else
    echo "ok $((number += 1)) - units: systemd understands them # SKIP systemd-analyze is not installed"
fi

# uninstall
mv "$prefix/bin/pha-supervise" "$work/double" && cp "$work/pha-supervise" "$prefix/bin/pha-supervise"
"$prefix/bin/pha-supervise" 60 &
running=$!
tries=0
while [ "$(readlink /proc/$running/exe)" != "$(readlink -f "$prefix/bin/pha-supervise")" ] && [ $tries -lt 100 ]; do
    sleep 0.01
    tries=$((tries + 1))
done
expect 1 "uninstall: refused while a daemon runs" "$prefix/bin/uninstall"
holds "uninstall: a refused one removes nothing" -x "$prefix/bin/pha-cli"
kill $running
wait $running 2>/dev/null
echo mine >"$prefix/res/mine"
expect 0 "uninstall: removes what was installed" "$prefix/bin/uninstall" "$prefix"
holds "uninstall: programs are gone" ! -e "$prefix/bin" -a ! -e "$prefix/docs" -a ! -e "$prefix/res/ipaddr"
holds "uninstall: configuration, key, var and own agents stay" \
    -f "$prefix/etc/config" -a -f "$prefix/etc/authkey" -a -d "$prefix/var" -a -f "$prefix/res/mine"
expect 1 "uninstall: refused where nothing is installed" "$source/bin/uninstall" "$work/other"
expect 0 "install: after an uninstall" "$source/bin/install" --no-build "$prefix"
rm "$prefix/res/mine"
expect 0 "uninstall: --purge" "$prefix/bin/uninstall" --purge
holds "uninstall: --purge leaves nothing" ! -e "$prefix"

echo "1..$number"
[ "$failed" -eq 0 ] || { echo "# $failed failed" && exit 1; }
