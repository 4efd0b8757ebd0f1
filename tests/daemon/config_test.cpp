// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "config/key_scan.h"

namespace tripod {
namespace {

using std::chrono::milliseconds;

std::string message_of(const std::string& text) {
    auto config = parse_config(text, "t.conf");
    EXPECT_FALSE(config) << text;
    if (config)
        return "";
    EXPECT_EQ(config.error().code, ErrorCode::bad_config);
    EXPECT_FALSE(config.error().remedy.empty());
    return config.error().message;
}

TEST(Config, EveryKeyIsRead) {
    auto c =
        parse_config("host=\"h1\"\n"
                     "listen = '10.0.0.1:7000'   # comment with = in it\n"
                     "peers = [ \"h2=10.0.0.2\",\n   'h3=[fe80::3]:7481' ]\n"
                     "rdma_device = \"rxe0\"\nheartbeat_ms = 10\nelection_min_ms=200; election_max_ms=400\n"
                     "lease_ms=\"150\"\nslow_backup_ms=900\nconnect_timeout_ms=100\nring_pages = 64\nlog_mbytes=8\n"
                     "isolated_bridge=\"iso\"\nsocket=\"/tmp/s\"\nstate_dir=\"/tmp/d\"\nlog_level=\"debug\"\n",
                     "t.conf");
    ASSERT_TRUE(c) << c.error().message;
    EXPECT_EQ(c->host, "h1");
    EXPECT_EQ(c->listen_address, "10.0.0.1");
    EXPECT_EQ(c->listen_port, 7000);
    EXPECT_EQ(c->rdma_device, "rxe0");
    EXPECT_EQ(c->heartbeat, milliseconds(10));
    EXPECT_EQ(c->election_min, milliseconds(200));
    EXPECT_EQ(c->election_max, milliseconds(400));
    EXPECT_EQ(c->lease, milliseconds(150));
    EXPECT_EQ(c->slow_backup, milliseconds(900));
    EXPECT_EQ(c->connect_timeout, milliseconds(100));
    EXPECT_EQ(c->ring_pages, 64u);
    EXPECT_EQ(c->log_bytes, 8u << 20);
    EXPECT_EQ(c->isolated_bridge, "iso");
    EXPECT_EQ(c->socket_path, "/tmp/s");
    EXPECT_EQ(c->state_dir, "/tmp/d");
    EXPECT_EQ(c->log_level, log::Level::debug);

    EXPECT_EQ(peer_address(*c, "h2")->address, "10.0.0.2");
    EXPECT_EQ(peer_address(*c, "h2")->port, 7480);
    EXPECT_EQ(peer_address(*c, "h3")->address, "fe80::3");
    EXPECT_EQ(peer_address(*c, "h3")->port, 7481);
    EXPECT_EQ(peer_address(*c, "elsewhere")->address, "elsewhere");
}

TEST(Config, AnEmptyFileGivesTheDefaults) {
    auto c = parse_config("# nothing\n\n", "t.conf");
    ASSERT_TRUE(c) << c.error().message;
    EXPECT_EQ(c->listen_port, 7480);
    EXPECT_EQ(c->slow_backup, milliseconds(3000));
    EXPECT_FALSE(c->host.empty());
}

TEST(Config, MistakesAreNamedWithTheirLine) {
    EXPECT_EQ(message_of("host=\"a\"\nhartbeat_ms=5\n"), "t.conf:2: unknown key \"hartbeat_ms\"");
    EXPECT_EQ(message_of("lease_ms=20\nlease_ms=20\n"), "t.conf:2: \"lease_ms\" is set a second time");
    EXPECT_EQ(message_of("gate_frames=8\n"), "t.conf:1: \"gate_frames\" is 8, not from 64 to 32768");
    EXPECT_EQ(message_of("ring_pages=100\n"), "t.conf:1: \"ring_pages\" is 100, not a power of two");
    EXPECT_EQ(message_of("log_mbytes=24\n"), "t.conf:1: \"log_mbytes\" is 24, not a power of two");
    EXPECT_EQ(message_of("ring_pages=32\n"), "t.conf:1: \"ring_pages\" is 32, not from 64 to 4096");
    EXPECT_EQ(message_of("heartbeat_ms=\"fast\"\n"), "t.conf:1: \"heartbeat_ms\" is \"fast\", not a number");
    EXPECT_EQ(message_of("heartbeat_ms=[1]\n"), "t.conf:1: \"heartbeat_ms\" is not a number");
    EXPECT_EQ(message_of("socket=\"tripodd.sock\"\n"),
              "t.conf:1: \"socket\" is \"tripodd.sock\", not an absolute path");
    EXPECT_EQ(message_of("cluster_key_file=\"tripod.key\"\n"),
              "t.conf:1: \"cluster_key_file\" is \"tripod.key\", not an absolute path");
    EXPECT_EQ(message_of("log_level=\"loud\"\n"),
              "t.conf:1: \"log_level\" is \"loud\", not error, warning, info or debug");
    EXPECT_EQ(message_of("peers=[\"h2\"]\n"), "t.conf:1: \"peers\" has the entry \"h2\", not NAME=ADDRESS");
    EXPECT_EQ(message_of("peers=[\"h2=1\",\"h2=2\"]\n"), "t.conf:1: \"peers\" names h2 twice");
    EXPECT_NE(message_of("listen=\"a:99999\"\n").find("no port from 1 to 65535"), std::string::npos);
    EXPECT_NE(message_of("lease_ms=400\n").find("must be below election_min_ms"), std::string::npos);
    EXPECT_NE(message_of("heartbeat_ms=200\n").find("at most half of lease_ms"), std::string::npos);
    // What the consensus library or Xen would refuse later, in the middle of a request.
    EXPECT_NE(message_of("log_mbytes=4\n").find("not from 8"), std::string::npos);
    EXPECT_NE(message_of("election_min_ms=500\n").find("must be below election_max_ms"), std::string::npos);
    EXPECT_NE(message_of("lease_ms=300\nelection_min_ms=300\n").find("must be below election_min_ms"),
              std::string::npos);
    EXPECT_NE(message_of("lease_ms=998\nelection_min_ms=1000\nelection_max_ms=2000\n").find("0.3 %"),
              std::string::npos);
    EXPECT_NE(message_of("heartbeat_ms=40\nlease_ms=90\nelection_min_ms=110\n").find("a third"), std::string::npos);
    EXPECT_NE(message_of("host = \n").find("t.conf:"), std::string::npos);
    EXPECT_NE(message_of("this is no config\n").find("t.conf:1"), std::string::npos);
}

TEST(Config, AMissingFileIsNamed) {
    auto c = load_config("/nonexistent/tripod.conf");
    ASSERT_FALSE(c);
    EXPECT_EQ(c.error().message, "cannot read /nonexistent/tripod.conf");
}

// The sample promises its defaults in comments: with the marks removed it must be a valid file that changes
// nothing.
TEST(Config, TheSampleShowsTheDefaults) {
    ASSERT_TRUE(load_config("dom0-daemon/tripod.conf"));
    std::ifstream sample("dom0-daemon/tripod.conf");
    std::ostringstream active;
    int keys = 0;
    for (std::string line; std::getline(sample, line);)
        if (line.size() > 1 && line[0] == '#' && line[1] != ' ' && line.find("#host") != 0) {
            active << line.substr(1) << "\n";
            keys++;
        }
    EXPECT_EQ(keys, 17);
    auto c = parse_config(active.str(), "sample");
    ASSERT_TRUE(c) << c.error().message;
    const Config d;
    EXPECT_EQ(c->listen_address, d.listen_address);
    EXPECT_EQ(c->listen_port, d.listen_port);
    EXPECT_EQ(c->rdma_device, d.rdma_device);
    EXPECT_EQ(c->cluster_key_file, d.cluster_key_file);
    EXPECT_EQ(c->peers, d.peers);
    EXPECT_EQ(c->heartbeat, d.heartbeat);
    EXPECT_EQ(c->election_min, d.election_min);
    EXPECT_EQ(c->election_max, d.election_max);
    EXPECT_EQ(c->lease, d.lease);
    EXPECT_EQ(c->slow_backup, d.slow_backup);
    EXPECT_EQ(c->connect_timeout, d.connect_timeout);
    EXPECT_EQ(c->ring_pages, d.ring_pages);
    EXPECT_EQ(c->log_bytes, d.log_bytes);
    EXPECT_EQ(c->gate_frames, d.gate_frames);
    EXPECT_EQ(c->isolated_bridge, d.isolated_bridge);
    EXPECT_EQ(c->socket_path, d.socket_path);
    EXPECT_EQ(c->state_dir, d.state_dir);
    EXPECT_EQ(c->log_level, d.log_level);
}

TEST(KeyScan, SeesThroughStringsCommentsAndLists) {
    const auto keys = scan_keys("a = \"b = 1\" # c = 2\nd=['e=1',\n f]\n;g=1;h = 2");
    ASSERT_EQ(keys.size(), 4u);
    EXPECT_EQ(keys[0].name, "a");
    EXPECT_EQ(keys[1].name, "d");
    EXPECT_EQ(keys[1].line, 2);
    EXPECT_EQ(keys[2].name, "g");
    EXPECT_EQ(keys[3].name, "h");
    EXPECT_EQ(keys[3].line, 4);
}

} // namespace
} // namespace tripod
