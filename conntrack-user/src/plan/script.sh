PATH=/sbin:/bin:/usr/sbin:/usr/bin:${PATH-}
export PATH
ROOT=${ROOT-}
kept=$ROOT/var/lib/ctdrop-fixes/script-$id
umask 077

fail() {
    echo "$*" >&2
    exit 1
}

# is_before NUMBER FILE there|absent: whether the file is as the plan has seen it.
is_before() {
    if [ "$3" = absent ]; then
        [ ! -e "$2" ] && [ ! -h "$2" ]
    else
        [ -f "$2" ] && [ ! -h "$2" ] && "before_$1" | cmp -s - "$2"
    fi
}

is_after() {
    [ -f "$2" ] && [ ! -h "$2" ] && "after_$1" | cmp -s - "$2"
}

show() {
    if [ "$3" = absent ]; then
        "after_$1" | diff -u /dev/null - | sed "1s|.*|--- /dev/null|; 2s|.*|+++ $2|"
    else
        "after_$1" | diff -u "$2" -
    fi
}

check() {
    is_after "$@" || is_before "$@" ||
        fail "$2 is not what it was when this was written: nothing was changed"
}

# Keeps what is there, before anything is changed.
keep() {
    [ -e "$kept/before-$1" ] && return
    [ -e "$kept/absent-$1" ] && return
    if [ "$3" = absent ]; then
        : > "$kept/absent-$1" || fail "cannot write to $kept: nothing was changed"
    else
        cp -p "$2" "$kept/new" && mv -f "$kept/new" "$kept/before-$1" ||
            fail "cannot keep $2 in $kept: nothing was changed"
    fi
}

# put COMMAND NUMBER FILE MODE: what the command prints takes the place of the
# file, at once and whole.
put() {
    new=${3%/*}/.ctdrop-$id-$2
    rm -f "$new"
    if [ -f "$3" ]; then
        cp -p "$3" "$new"
    else
        : > "$new" && chmod "$4" "$new"
    fi && "$1" > "$new" && "$1" | cmp -s - "$new" || {
        rm -f "$new"
        fail "cannot create a temporary file beside $3, which is unchanged"
    }
    sync
    mv -f "$new" "$3" || {
        rm -f "$new"
        fail "cannot replace $3, which is unchanged"
    }
    # The label of SELinux; a copied tree has none.
    if [ -z "$ROOT" ] && command -v restorecon > /dev/null 2>&1; then
        restorecon "$3"
    fi
}

make_directory() {
    [ -d "$1" ] && return
    make_directory "${1%/*}"
    mkdir "$1" && chmod 755 "$1" || fail "cannot create the directory $1"
    echo "$1" >> "$kept/directories"
}

change() {
    is_after "$@" && return
    make_directory "${2%/*}"
    is_before "$@" || fail "$2 has changed since this script was written, so it was not changed"
    put "after_$1" "$1" "$2" "$4"
    echo "$2"
}

restore() {
    if [ -f "$kept/before-$1" ]; then
        cmp -s "$kept/before-$1" "$2" && return
        if is_after "$@"; then
            new=${2%/*}/.ctdrop-$id-$1
            rm -f "$new"
            cp -p "$kept/before-$1" "$new" && mv -f "$new" "$2" || {
                rm -f "$new"
                fail "cannot replace $2, which is unchanged"
            }
            if [ -z "$ROOT" ] && command -v restorecon > /dev/null 2>&1; then
                restorecon "$2"
            fi
            echo "$2 is restored"
            return
        fi
    elif [ -f "$kept/absent-$1" ]; then
        [ -e "$2" ] || return 0
        if is_after "$@"; then
            rm -f "$2" || fail "cannot remove $2"
            echo "$2 is removed"
            return
        fi
    else
        return
    fi
    echo "$2 has changed since the fix, so it is left as it is; its old content is in $kept" >&2
    left=yes
}

# The running kernel: buckets first, so that chains do not grow too long.
tell_kernel() {
    [ -z "$ROOT" ] || return 0
    for pair in "$buckets_file=$buckets" "$max_file=$max"; do
        file=${pair%%=*}
        value=${pair#*=}
        if [ ! -e "$file" ]; then
            echo "$file does not exist: conntrack is not loaded, and will start with the limit"
            continue
        fi
        now=$(cat "$file")
        [ "$now" -ge "$value" ] && continue
        echo "$now" > "$kept/live-${file##*/}"
        echo "$value" > "$file" || fail "cannot write $value to $file"
        echo "$file: $now -> $(cat "$file")"
    done
}

tell_kernel_back() {
    [ -z "$ROOT" ] || return 0
    for file in "$max_file" "$buckets_file"; do
        old=$kept/live-${file##*/}
        [ -f "$old" ] && [ -e "$file" ] || continue
        cat "$old" > "$file" && rm -f "$old" && echo "$file: $(cat "$file")"
    done
}

# udev looks only every three seconds whether its rules have changed.
tell_udev() {
    [ -z "$ROOT" ] && [ -e /run/udev/control ] || return 0
    ! command -v udevadm > /dev/null 2>&1 || udevadm control --reload
}

case ${1-} in
show)
    each show
    ;;
apply)
    each check
    mkdir -p "$kept" || fail "nothing was changed: cannot create $kept"
    each keep
    sync
    tell_kernel
    each change
    tell_udev
    sync
    : > "$kept/applied"
    echo "done; to undo it: sh $0 undo"
    ;;
undo)
    [ -d "$kept" ] || fail "there is nothing to undo: $kept does not exist"
    left=no
    each_backwards restore
    tell_udev
    tell_kernel_back
    if [ -f "$kept/directories" ]; then
        # What is inside goes first.
        sort -r "$kept/directories" | while read -r directory; do
            rmdir "$directory" 2> /dev/null
        done
    fi
    sync
    [ "$left" = no ] || exit 1
    rm -f "$kept/applied"
    ;;
*)
    echo "usage: [ROOT=DIR] sh $0 show|apply|undo" >&2
    exit 2
    ;;
esac
