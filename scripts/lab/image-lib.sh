# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the two images (dom0-image, guest-image) share. Sourced with `root` set to the folder that becomes the image.
# An image is an initramfs: made of this machine's own programs and the libraries they name, reproducibly, so that
# the same inputs give the same bytes, and the lab's snapshots stay valid.

# Copies programs (or libraries), the path as here, with every library that the loader would give them.
copy_with_libraries() {
    local program path real
    for program in "$@"; do
        [[ -e $program ]] || { echo "${0##*/}: $program is missing" >&2; exit 1; }
        while read -r path; do
            real=$(readlink -f "$path")
            mkdir -p "$root$(dirname "$path")"
            [[ -e $root$path ]] || cp -L --preserve=mode "$real" "$root$path"
        done < <(echo "$program"; ldd "$program" 2> /dev/null | grep -o '/[^ ]*' || true)
    done
}

# Copies kernel modules with what they depend on, from the unpacked kernel package in build/kernel.
copy_modules() {
    local release module file
    release=$(< build/kernel/release)
    for module in "$@"; do
        while read -r file; do
            mkdir -p "$root/$(dirname "${file#build/kernel/}")"
            cp "$file" "$root/${file#build/kernel/}"
        done < <(modprobe -d build/kernel -S "$release" --show-depends "$module" | sed -n "s|^insmod .*\(build/kernel/[^ ]*\).*|\1|p")
    done
    cp build/kernel/lib/modules/"$release"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$release/"
    depmod -b "$root" "$release"
}

# One busybox, and a link for each of its commands that the image does not have as a program of its own.
install_busybox() {
    mkdir -p "$root/bin"
    cp /bin/busybox "$root/bin/"
    local applet
    for applet in $(/bin/busybox --list); do
        [[ -e $root/bin/$applet || -e $root/sbin/$applet || -e $root/usr/bin/$applet || -e $root/usr/sbin/$applet ]] || ln -s busybox "$root/bin/$applet"
    done
}

pack_image() {
    local out=$PWD/$1
    mkdir -p "$(dirname "$out")"
    find "$root" -print0 | xargs -0 touch -h -d @0
    (cd "$root" && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet -o -H newc --reproducible -R 0:0 | gzip -n -1) > "$out.new"
    mv "$out.new" "$out"
}
