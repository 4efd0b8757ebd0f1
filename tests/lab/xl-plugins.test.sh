#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# xl hands subcommands that it does not know to xl-NAME, and changes nothing for those that it knows or nobody knows.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

lab_up --no-push h1
cat > xl-echo << 'EOT'
#!/bin/sh
echo "name=$0 count=$#"
for word in "$@"; do echo "[$word]"; done
echo "environment=$PLUGIN_TEST"
ls -l /proc/self/fd 2> /dev/null | grep -c privcmd
exit 42
EOT
chmod +x xl-echo
lab push h1 xl-echo /usr/lib/xen/bin/

expect_failure 42 on_host h1 env PLUGIN_TEST=kept xl echo -l 'two words' --long ''
expect_equal "$failure_output" "name=/usr/lib/xen/bin/xl-echo count=4
[-l]
[two words]
[--long]
[]
environment=kept
0" "what the plugin got"

# The second directory is used when the first has none; xl's own options do not reach the plugin.
lab push h1 xl-echo /usr/libexec/xen/bin/xl-second
expect_failure 42 on_host h1 xl -v second
expect_match "$failure_output" '^name=/usr/libexec/xen/bin/xl-second count=0$' "second directory"

# What nobody knows, and names that would leave the directories.
for name in nobody-knows ../../../../bin/true 'a b' .; do
    expect_failure 1 on_host h1 xl "$name"
    expect_equal "$failure_output" "command not implemented" "xl $name"
done
# xl's own commands come first, also when abbreviated.
lab push h1 xl-echo /usr/lib/xen/bin/xl-list
lab push h1 xl-echo /usr/lib/xen/bin/xl-dmes
expect_match "$(on_host h1 xl list)" '^Domain-0' "xl list"
expect_match "$(on_host h1 xl dmes)" 'Xen version' "xl dmes, short for dmesg"
# A plugin that may not be executed is as good as none.
on_host h1 chmod -x /usr/lib/xen/bin/xl-echo
expect_failure 1 on_host h1 xl echo
expect_equal "$failure_output" "command not implemented" "xl echo without permission"
