// SPDX-License-Identifier: Apache-2.0
//
// The command as an admin sees it: arguments in, text and exit code out, with a fake service behind a real socket.
#include "cli/command.h"

#include <fstream>
#include <iterator>

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/syscall.h>

#include "cli/table.h"
#include "fake_service.h"
#include "record_builder.h"
#include "server_loop.h"
#include "temp_folder.h"

namespace tripod::cli {
namespace {

using tripod::testing::FakeService;
using tripod::testing::RecordBuilder;
using tripod::testing::ServerLoop;
using tripod::testing::TempFolder;

class CommandTest : public ::testing::Test {
  protected:
    int run(std::vector<const char*> arguments, const char* program = "/usr/bin/tripod") {
        out.clear();
        err.clear();
        arguments.insert(arguments.begin(), program);
        return cli::run(
            static_cast<int>(arguments.size()), arguments.data(), path,
            {[this](std::string_view text) { out += text; }, [this](std::string_view text) { err += text; }});
    }

    TempFolder folder;
    std::string path = folder.path + "/s";
    FakeService service;
    std::unique_ptr<ServerLoop> server = std::make_unique<ServerLoop>(path, service);
    std::string out, err;
};

TEST_F(CommandTest, ListIsATableWithXlsColumns) {
    VmStatus alone;
    alone.name = "a\x1b[2Jb";
    alone.role = Role::backup;
    alone.state = VmState::catching_up;
    service.vms.push_back(alone);
    EXPECT_EQ(run({"list"}), 0) << err;
    EXPECT_EQ(out,
              "Name                                        ID  Role     State        Backups                   "
              "Last/Committed/Applied   Term\n"
              "web1                                         3  primary  degraded     h2 ok, h3 dead            "
              "           121/120/120      2\n"
              "a?[2Jb                                       0  backup   catching-up  -                         "
              "                 0/0/0      0\n");
    EXPECT_EQ(err, "");
}

TEST_F(CommandTest, JsonHasASchemaAndEverything) {
    for (const char* flag : {"--json", "-l", "--long"}) {
        ASSERT_EQ(run({"list", flag}), 0) << err;
        const auto list = nlohmann::json::parse(out);
        EXPECT_EQ(list["schema"], 1);
        EXPECT_EQ(list["vms"][0]["name"], "web1");
    }
    ASSERT_EQ(run({"status", "web1", "--json"}), 0);
    const auto vm = nlohmann::json::parse(out);
    EXPECT_EQ(vm["state"], "degraded");
    EXPECT_EQ(vm["reason"], "h3 is dead");
    EXPECT_TRUE(vm["backups"][0]["reason"].is_null());
    EXPECT_EQ(vm["backups"][1]["reason"], "lagging beyond the log");
    EXPECT_EQ(vm["index"]["committed"], 120);
    EXPECT_EQ(vm["backups"][0]["applied"], 118);
    EXPECT_TRUE(vm["backups"][1]["applied"].is_null());
    EXPECT_EQ(vm["counters"]["state_bytes"], 1000);
    EXPECT_EQ(vm["events"][1]["name"], "backup_lost");
    EXPECT_EQ(vm["events"][1]["time_ns"], 1700000000000000002);
    ASSERT_EQ(run({"info", "--json"}), 0);
    EXPECT_EQ(nlohmann::json::parse(out)["host"], "h1");
}

TEST_F(CommandTest, StatusAndInfoAreForPeople) {
    EXPECT_EQ(run({"status", "web1"}), 0);
    EXPECT_NE(out.find("index_committed        : 120\n"), std::string::npos) << out;
    EXPECT_NE(out.find("backup h2              : ok, holds 120, applied 118, heartbeat 12 ms ago\n"),
              std::string::npos);
    EXPECT_NE(out.find("backup h3              : dead, holds 90: lagging beyond the log\n"), std::string::npos)
        << out;
    EXPECT_NE(out.find("reason                 : h3 is dead\n"), std::string::npos) << out;
    EXPECT_NE(out.find(": backup_lost: h3\n"), std::string::npos);
    EXPECT_EQ(run({"info"}), 0);
    EXPECT_NE(out.find("xen_version            : 4.17.5\n"), std::string::npos);
}

TEST_F(CommandTest, ProgressGoesToStderrUnlessQuiet) {
    service.on_protect = [](const ProtectRequest&, Progress& progress) -> Result<VmStatus> {
        progress.say("h2: 37 of 128 MiB");
        return tripod::testing::sample_status();
    };
    EXPECT_EQ(run({"protect", "web1", "h2", "h3", "--profile", "/boot/v"}), 0) << err;
    EXPECT_EQ(err, "h2: 37 of 128 MiB\n");
    EXPECT_EQ(out.find("Name "), 0u);
    EXPECT_EQ(service.protects.at(0).backups, (std::vector<std::string>{"h2", "h3"}));
    EXPECT_EQ(service.protects[0].profile, "/boot/v");
    EXPECT_EQ(run({"protect", "-q", "web1", "h2"}), 0);
    EXPECT_EQ(err + out, "");
    EXPECT_EQ(run({"failover", "--isolated", "3"}), 0);
    EXPECT_TRUE(service.failovers.at(0).isolated);
    EXPECT_EQ(run({"unprotect", "web1"}), 0);
}

TEST_F(CommandTest, ErrorsHaveARemedyAndTheirExitCode) {
    EXPECT_EQ(run({"status", "web9"}), 3);
    EXPECT_EQ(err, "tripod status: no VM named web9 on h1\n  xl list shows the VMs of this host\n");
    EXPECT_EQ(out, "");
    EXPECT_EQ(run({"unprotect", "web2"}), 9);
    service.on_protect = [](const ProtectRequest&, Progress&) -> Result<VmStatus> {
        return fail(ErrorCode::backup_refused, "h2 runs interface version 2, this host 1",
                    "install the same version");
    };
    EXPECT_EQ(run({"protect", "web1", "h2"}), 7);
    server.reset();
    EXPECT_EQ(run({"list"}), 4);
    EXPECT_NE(err.find("start tripodd on this host"), std::string::npos);
}

TEST_F(CommandTest, WrongUsageSaysWhatIsWrong) {
    EXPECT_EQ(run({}), 1);
    EXPECT_EQ(err.find("Keeps Xen VMs"), 0u);
    EXPECT_EQ(run({"frob"}), 1);
    EXPECT_EQ(err, "tripod: there is no command \"frob\"\n  `tripod help` lists them\n");
    EXPECT_EQ(run({"protect", "web1"}), 1);
    EXPECT_EQ(err, "tripod protect: HOST is required\nTry: tripod protect -h\n");
    EXPECT_EQ(run({"status", "a", "b"}), 1);
    EXPECT_EQ(run({"trace", "a", "-n", "0"}), 1);
    EXPECT_EQ(run({"list", "--frob"}), 1);
    EXPECT_EQ(run({""}), 1);
    EXPECT_TRUE(service.protects.empty());
}

TEST_F(CommandTest, IsTheSameCodeUnderXl) {
    EXPECT_EQ(run({"status", "web9"}, "/usr/lib/xen/bin/xl-tripod"), 3);
    EXPECT_EQ(err.find("xl tripod status: no VM"), 0u);
    EXPECT_EQ(run({}, "/usr/lib/xen/bin/xl-tripod"), 1);
    EXPECT_NE(err.find("Usage: xl tripod"), std::string::npos);
    EXPECT_EQ(cli::run(0, nullptr, path, {[](std::string_view) {}, [](std::string_view) {}}), 1);
}

TEST_F(CommandTest, HelpIsEverywhere) {
    EXPECT_EQ(run({"-h"}), 0);
    const std::string overview = out;
    EXPECT_EQ(run({"help"}), 0);
    EXPECT_EQ(out, overview);
    for (const char* sub : {"protect", "unprotect", "list", "status", "trace", "failover", "info"}) {
        EXPECT_NE(overview.find(std::string("\n  ") + sub + " "), std::string::npos) << sub;
        EXPECT_EQ(run({sub, "-h"}), 0);
        const std::string with_flag = out;
        EXPECT_NE(with_flag.find(std::string("Usage: tripod ") + sub), std::string::npos) << with_flag;
        EXPECT_EQ(run({"help", sub}), 0);
        EXPECT_EQ(out, with_flag);
    }
    EXPECT_EQ(run({"help", "exit-codes"}), 0);
    EXPECT_NE(out.find("  3  no-such-vm "), std::string::npos);
    EXPECT_NE(out.find(" 17  cancelled "), std::string::npos);
    EXPECT_EQ(out.find("\n  2  "), std::string::npos);
    EXPECT_EQ(run({"help", "nothing"}), 1);
}

TEST_F(CommandTest, TheManualHasEveryExitCode) {
    std::ifstream file("docs/commands.md");
    const std::string manual{std::istreambuf_iterator<char>(file), {}};
    ASSERT_FALSE(manual.empty());
    for (int number = 1; number < 256; number++)
        if (const ErrorCode code = error_code_from_number(number); static_cast<int>(code) == number) {
            const std::string row =
                fmt::format("| {} | {} | {} |", number, error_code_name(code), error_code_meaning(code));
            EXPECT_NE(manual.find(row), std::string::npos) << row;
        }
}

TEST_F(CommandTest, SubcommandsNamesMayNameVms) {
    EXPECT_EQ(run({"protect", "list", "help", "status"}), 0) << err;
    EXPECT_EQ(service.protects.at(0).vm, "list");
    EXPECT_EQ(service.protects[0].backups, (std::vector<std::string>{"help", "status"}));
}

TEST_F(CommandTest, TracePrintsCalls) {
    RecordBuilder read(SYS_read, TRIPOD_CLASS_input, 7, 5);
    read.args(7, 0x7f01, 16384).segment(TRIPOD_SEG_arg, 1, "hello");
    RecordBuilder clock(SYS_clock_gettime, TRIPOD_CLASS_value, -1, -22);
    service.trace_batches = {clock.build(), read.build(), read.build(), read.build()};
    service.trace_lasts = true;
    EXPECT_EQ(run({"trace", "web1", "--net", "-n", "2", "-s", "3", "-ttt"}), 0) << err;
    EXPECT_EQ(out, "[pid 231] 5.000001 read(7, \"hel\"..., 16384) = 5\n"
                   "[pid 231] 5.000001 read(7, \"hel\"..., 16384) = 5\n");
    EXPECT_EQ(run({"trace", "web1", "-f", "7", "-n", "1", "--json"}), 0);
    EXPECT_EQ(nlohmann::json::parse(out)["segments"][0]["hex"], "68656c6c6f");
    EXPECT_EQ(run({"trace", "web1", "-n", "1"}), 0);
    EXPECT_EQ(out.find("[pid 231] clock_gettime("), 0u) << out;
}

} // namespace
} // namespace tripod::cli
