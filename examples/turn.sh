#!/bin/sh
# Runs a command as one turn of an agent, so that nobody else uses the session meanwhile:
#
#   turn.sh AGENT SESSION COMMAND [ARGUMENT...]
#
# Waits until the session is free (an hour at most), keeps the turn for as long as the command runs, and exits as the
# command did. Where somebody asks for a stop, or this script gets a signal, the command gets SIGTERM; when it has
# ended, switchman is told so. Exits with 3 if the turn could not begin or was cut off, with 69 if there is no daemon.
#
# It needs `switchman` in the PATH, which finds the daemon by SWITCHMAN_SOCKET or by its config. The command is told its
# turn and can report failures with it:  switchman report AGENT --kind rate_limit --turn "$SWITCHMAN_TURN"
#
# POSIX sh: runs in dash, in busybox and in bash.
set -u

if [ $# -lt 3 ]; then
    echo "usage: turn.sh AGENT SESSION COMMAND [ARGUMENT...]" >&2
    exit 2
fi
agent=$1 session=$2
shift 2

# The token is a secret: it stands in a file that only we can read, and in no list of processes.
umask 077
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

# A signal ends what is running, and its end ends the rest. A shell handles signals while it waits for something in the
# background, not while something runs in the foreground.
running='' signals=0
trap 'signals=$((signals + 1)); [ -z "$running" ] || kill "$running" 2>/dev/null' TERM INT HUP

# Waits until this process has ended, whatever signals come. A wait that a signal has cut short tells of the signal and
# not of the process, so it is repeated; to a question that was answered before, a shell says 127.
ended() {
    running=$1 status=127
    [ "$signals" -eq 0 ] || kill "$running" 2>/dev/null
    while :; do
        before=$signals
        wait "$running"
        code=$?
        [ "$code" -eq 127 ] || status=$code
        [ "$signals" -ne "$before" ] || break
    done
    running=''
}

# Asks again while the daemon is away: when it is back it knows our turn and our token.
patiently() {
    tries=0
    until "$@" >"$folder/said" 2>"$folder/why"; do
        code=$?
        if [ "$code" -ne 69 ] || [ "$tries" -ge 60 ]; then
            cat "$folder/why" >&2
            return "$code"
        fi
        tries=$((tries + 1))
        sleep 1
    done
}

switchman turn begin "$agent" --session "$session" --holder "turn.sh $$" --queue --wait 1h >"$folder/lease" &
ended "$!"
[ "$status" -eq 0 ] || exit "$status"
read -r turn _ <"$folder/lease"
export SWITCHMAN_TURN="$turn"

# The first heartbeat takes the turn: before it no work must begin, for somebody else may get the session.
patiently switchman turn heartbeat "$turn" --lease-file "$folder/lease" || exit "$?"

# Keeps the turn for as long as the file `held` is there.
keep() {
    while [ -e "$folder/held" ]; do
        # Comes back when there is something to tell.
        told=$(switchman turn heartbeat "$turn" --lease-file "$folder/lease" --wait 1h 2>/dev/null)
        case "$?:$told" in
            0:cancel:*)
                # It is held until the work has stopped.
                stop cancelled
                sleep 1
                ;;
            0:*) ;;
            3:*)
                stop cut-off
                return
                ;;
            *) sleep 1 ;;
        esac
    done
}

# Ends the command, once, if it still runs, and leaves word why.
stop() {
    if [ -e "$folder/held" ] && [ ! -e "$folder/$1" ]; then
        : >"$folder/$1"
        kill "$command"
    fi 2>/dev/null
}

: >"$folder/held"
# What is started in the background has no input unless it is given one.
exec 3<&0
"$@" <&3 3<&- &
command=$!
keep </dev/null >/dev/null 3<&- &
keeper=$!
ended "$command"
rm -f "$folder/held"

if [ "$status" -eq 0 ]; then
    patiently switchman turn complete "$turn" --lease-file "$folder/lease"
elif [ -e "$folder/cancelled" ]; then
    patiently switchman turn cancelled "$turn" --lease-file "$folder/lease"
else
    patiently switchman turn complete "$turn" --lease-file "$folder/lease" --failed
fi || status=$?
wait "$keeper"
exit "$status"
