#!/bin/sh
# Compiles CPython into /usr/local of the build system at $1 (an mmdebstrap hook), as the official image has it.
#
# From Debian's source package, because that is the one signed source that every machine with an apt mirror reaches.
# Without the optimisations that take half an hour of training: fixtures need the layout, not the speed.
set -eu
chroot "$1" sh -eu <<'BUILD'
cd /root
apt-get source --quiet --download-only python3.13
mkdir python
tar -xf python3.13_*.orig.tar.xz -C python --strip-components=1
cd python
./configure --quiet --prefix=/usr/local --with-ensurepip=install --disable-test-modules \
    --enable-loadable-sqlite-extensions --without-static-libpython CFLAGS='-O2 -g0'
make --quiet --jobs="$(nproc)"
make --quiet install
cd /usr/local/bin
for program in idle pip pydoc python; do ln -s "${program}3" "$program"; done
ln -s python3-config python-config
strip --strip-unneeded python3.13
# As the official image: no bytecode, and no man pages in a slim one.
find /usr/local -depth -type d -name __pycache__ -exec rm -rf '{}' +
rm -rf /usr/local/share/man/man1
./python3 --version | cut -d ' ' -f 2 > /usr/local/python-version
BUILD
