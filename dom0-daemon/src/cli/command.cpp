// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "cli/table.h"
#include "cli/trace_command.h"
#include "control/client.h"

namespace tripod::cli {

namespace {

using control::call;
using control::Handlers;
using control::Json;
using control::Request;

// What the arguments ask for; CLI11 fills it in.
struct Options {
    std::string socket;
    std::string vm;
    std::vector<std::string> backups;
    std::string profile, bridge;
    std::string topic;
    bool quiet = false, json = false, isolated = false;
    TraceOptions trace;
};

class Command {
  public:
    Command(std::string program, const std::string& default_socket, const Streams& streams)
        : streams_(streams), app_("Keeps Xen VMs running when their host dies.", std::move(program)) {
        options_.socket = default_socket;
        describe();
        overview_ = app_.help(); // once a subcommand is parsed, CLI11 gives that one's help here
    }

    int run(std::vector<std::string> arguments) {
        if (arguments.empty()) {
            streams_.err(overview_);
            return 1;
        }
        if (const std::string& name = arguments.front(); name.empty() || name.front() != '-')
            if (!subcommand_named(name)) // CLI11 would say that a subcommand is missing
                return unknown_command(name);
        std::reverse(arguments.begin(), arguments.end()); // CLI11 takes them from the back
        try {
            app_.parse(std::move(arguments));
        } catch (const CLI::CallForHelp&) {
            streams_.out(help_of(asked()));
            return 0;
        } catch (const CLI::Error& error) {
            const std::string name =
                asked().get_parent() ? app_.get_name() + " " + asked().get_name() : app_.get_name();
            streams_.err(fmt::format("{}: {}\nTry: {} -h\n", name, error.what(), name));
            return static_cast<int>(ErrorCode::other);
        }
        return perform(app_.get_subcommands().front()->get_name());
    }

  private:
    // The subcommand that was named, or the command itself.
    CLI::App& asked() {
        const auto named = app_.get_subcommands();
        return named.empty() ? app_ : *named.front();
    }

    const CLI::App* subcommand_named(const std::string& name) const {
        for (const CLI::App* sub : app_.get_subcommands(nullptr))
            if (sub->get_name() == name)
                return sub;
        return nullptr;
    }

    std::string help_of(const CLI::App& app) const { return &app == &app_ ? overview_ : app.help(app_.get_name()); }

    CLI::App* subcommand(const char* name, const char* what) {
        CLI::App* sub = app_.add_subcommand(name, what);
        sub->add_option("--socket", options_.socket,
                        "The daemon's socket (default: $TRIPOD_SOCKET or " + options_.socket + ")")
            ->type_name("PATH");
        return sub;
    }
    void takes_vm(CLI::App* sub) { sub->add_option("VM", options_.vm, "Name or domid")->required()->type_name(""); }
    void is_long(CLI::App* sub) {
        sub->add_flag("-q,--quiet", options_.quiet, "No progress on stderr");
        sub->add_flag("--json", options_.json, "Print the outcome as JSON");
    }
    void has_json(CLI::App* sub, const char* flags) {
        sub->add_flag(flags, options_.json, "Print JSON (with a schema version)");
    }

    void describe() {
        app_.require_subcommand(1);
        app_.set_help_flag("-h,--help", "Print this and exit");

        CLI::App* protect = subcommand("protect", "Keep copies of a running VM on other hosts");
        takes_vm(protect);
        protect->add_option("HOST", options_.backups, "Hosts that run tripodd; each gets a backup")
            ->required()
            ->type_name("");
        protect
            ->add_option(
                "--profile", options_.profile,
                "The guest's kernel image or its profile, a path in this dom0 (default: the domain's kernel)")
            ->type_name("IMAGE");
        protect
            ->add_option("--bridge", options_.bridge,
                         "Bridge that the VM's interface joins at failover (default: the name it is on now)")
            ->type_name("NAME");
        is_long(protect);

        CLI::App* unprotect = subcommand("unprotect", "End protection; the VM runs on");
        takes_vm(unprotect);
        is_long(unprotect);

        CLI::App* list = subcommand("list", "List the protected VMs of this host");
        has_json(list, "-l,--long,--json");

        CLI::App* status = subcommand("status", "Show one protected VM, its backups and what happened to it");
        takes_vm(status);
        has_json(status, "-l,--long,--json");

        CLI::App* trace = subcommand("trace", "Print a VM's intercepted system calls, as strace does");
        takes_vm(trace);
        describe_trace_options(*trace, options_.trace);

        CLI::App* failover = subcommand("failover", "On a backup host: make this copy of the VM the running one");
        takes_vm(failover);
        failover->add_flag("--isolated", options_.isolated,
                           "Go live without the network, which stays with the primary: for drills and checks");
        is_long(failover);

        CLI::App* info = subcommand("info", "Show versions and settings of this host's daemon");
        has_json(info, "-l,--long,--json");

        CLI::App* help = app_.add_subcommand("help", "Explain a command, or `exit-codes`");
        help->add_option("TOPIC", options_.topic, "A subcommand, or exit-codes")->type_name("");
    }

    Request request_for(const std::string& name) const {
        const auto given = [](const std::string& text) {
            return text.empty() ? std::nullopt : std::optional(text);
        };
        if (name == "protect")
            return ProtectRequest{options_.vm, options_.backups, given(options_.profile), given(options_.bridge)};
        if (name == "unprotect")
            return control::UnprotectRequest{options_.vm};
        if (name == "list")
            return control::ListRequest{};
        if (name == "status")
            return control::StatusRequest{options_.vm};
        if (name == "failover")
            return FailoverRequest{options_.vm, options_.isolated};
        return control::InfoRequest{};
    }

    int perform(const std::string& name) {
        if (name == "help")
            return explain();
        if (options_.socket.empty())
            return report(name, {ErrorCode::other, "--socket is empty", ""});
        if (name == "trace") {
            const auto ended = run_trace(options_.socket, options_.vm, options_.trace, streams_);
            return ended ? 0 : report(name, ended.error());
        }
        Handlers handlers;
        handlers.progress = [this](std::string_view line) {
            if (!options_.quiet)
                streams_.err(std::string(line) + "\n");
        };
        const Result<Json> result = call(options_.socket, request_for(name), handlers);
        if (!result)
            return report(name, result.error());
        if (options_.json)
            streams_.out(control::dump(*result, 4) + "\n");
        else
            streams_.out(text_of(name, *result));
        return 0;
    }

    std::string text_of(const std::string& name, const Json& result) const {
        if (name == "list") {
            std::vector<VmStatus> vms;
            if (const auto it = result.find("vms"); it != result.end())
                for (const Json& vm : *it)
                    vms.push_back(control::vm_status_from(vm));
            return list_table(vms);
        }
        if (name == "status")
            return status_text(control::vm_status_from(result));
        if (name == "info")
            return info_text(control::info_from(result));
        if (name == "unprotect" || options_.quiet)
            return "";
        return list_table({control::vm_status_from(result)}); // protect, failover: what became of it
    }

    int explain() {
        if (options_.topic.empty()) {
            streams_.out(overview_);
            return 0;
        }
        if (options_.topic == "exit-codes") {
            streams_.out(fmt::format("{:>3}  {:<20}  {}\n", 0, "ok", "done"));
            for (int code = 1; code < 256; code++)
                if (const ErrorCode known = error_code_from_number(code); static_cast<int>(known) == code)
                    streams_.out(fmt::format("{:>3}  {:<20}  {}\n", code, error_code_name(known),
                                             error_code_meaning(known)));
            return 0;
        }
        if (const CLI::App* sub = subcommand_named(options_.topic)) {
            streams_.out(help_of(*sub));
            return 0;
        }
        return unknown_command(options_.topic);
    }

    int unknown_command(const std::string& name) {
        streams_.err(
            fmt::format("{0}: there is no command \"{1}\"\n  `{0} help` lists them\n", app_.get_name(), name));
        return static_cast<int>(ErrorCode::other);
    }

    int report(const std::string& name, const Error& error) {
        streams_.err(fmt::format("{} {}: {}\n", app_.get_name(), name, error.message));
        if (!error.remedy.empty())
            streams_.err(fmt::format("  {}\n", error.remedy));
        return static_cast<int>(error.code);
    }

    const Streams& streams_;
    Options options_;
    CLI::App app_;
    std::string overview_;
};

} // namespace

int run(int argc, const char* const* argv, const std::string& default_socket, const Streams& streams) {
    const std::string path = argc > 0 && argv[0] ? argv[0] : "tripod";
    const std::string base = path.substr(path.rfind('/') + 1); // npos + 1 is 0
    std::vector<std::string> arguments(argv + (argc > 0), argv + argc);
    // What the user typed is "xl tripod …"; messages should say so.
    Command command(base == "xl-tripod" ? "xl tripod" : "tripod", default_socket, streams);
    return command.run(std::move(arguments));
}

} // namespace tripod::cli
