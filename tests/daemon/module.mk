# SPDX-License-Identifier: Apache-2.0

$(eval $(call cxx_test,front-test,$(addprefix tests/daemon/,command_test.cpp config_test.cpp control_test.cpp events_test.cpp format_test.cpp \
    record_view_test.cpp),tripod-front tripod-record tripod-wire,-lfmt -lxxhash -lxlutil -lxenlight))

include tests/daemon/core/module.mk
