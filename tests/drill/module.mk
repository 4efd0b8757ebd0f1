# SPDX-License-Identifier: Apache-2.0
#
# The outside client of the failover drill, and its tests.

$(eval $(call cxx_library,drill-load,$(addprefix tests/drill/,redis_connection.cpp writer.cpp read_back.cpp verdict.cpp statistics.cpp idle_connections.cpp)))
$(eval $(call cxx_program,redis-load,tests/drill/redis_load.cpp,drill-load,-lhiredis -lfmt -lpthread))
$(eval $(call cxx_test,drill-test,$(addprefix tests/drill/,verdict_test.cpp redis_load_test.cpp),drill-load,-lhiredis -lfmt))
$(BUILD)/bin/drill-test: | $(BUILD)/bin/redis-load
