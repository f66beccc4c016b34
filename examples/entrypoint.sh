#!/bin/sh
# The entrypoint of a container whose credential switchman delivers as a `dotenv` file: NAME=value, one a line.
#
#   SWITCHMAN_CREDENTIAL_FILE    the file; default /run/credential/credential
#
# It reads the file as data and never runs any of it, takes away the variables that would win over what the file
# says, and becomes the command it was given:
#
#   ENTRYPOINT ["/entrypoint.sh"]
#   CMD ["claude", "--version"]
#
# Mount the FOLDER that the file is in. switchman replaces the file by a rename; a mount of the file alone goes on
# showing the old one. POSIX sh: runs in dash, in busybox and in bash.
set -eu

file="${SWITCHMAN_CREDENTIAL_FILE:-/run/credential/credential}"

refuse() {
    # What is in the file is never printed.
    printf 'entrypoint: %s\n' "$*" >&2
    exit 78
}

[ $# -gt 0 ] || refuse "no command was given"
[ -f "$file" ] || refuse "$file does not exist; is its folder mounted, and has switchman delivered a credential?"
[ -r "$file" ] || refuse "$file is not readable for uid $(id -u); it belongs to the owner of its folder on the host"

# Each of these wins over, or stands in for, another one of them: whatever the file does not set must not be there.
unset ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN CLAUDE_CODE_OAUTH_TOKEN

carriage_return="$(printf '\r')"
number=0
found=0
# The last line may have no line end.
while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    line="${line%"$carriage_return"}"
    case "$line" in
        '' | '#'*) continue ;;
        *=*) ;;
        *) refuse "line $number of $file is not NAME=value" ;;
    esac
    name="${line%%=*}"
    case "$name" in
        # Lower case is what this script calls its own. Written out, because a range means other letters elsewhere.
        '' | [0-9]* | *[!ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_]*)
            refuse "line $number of $file does not begin with the name of a variable in upper case"
            ;;
        # These decide what is run, and hold no credential.
        PATH | IFS | ENV | BASH_ENV | LD_*) refuse "line $number of $file sets $name, which is no credential" ;;
    esac
    [ -n "${line#*=}" ] || refuse "line $number of $file sets $name to nothing"
    # Quoted, so that whatever the value holds stays a value: this is no eval.
    export "$name=${line#*=}"
    found=$((found + 1))
done <"$file"

[ "$found" -gt 0 ] || refuse "$file holds no credential"

unset carriage_return number found line name
exec "$@"
