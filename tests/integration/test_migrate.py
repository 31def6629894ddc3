# SPDX-License-Identifier: Apache-2.0
"""flowd-cpp migrate: what it prints is usable, means what its author meant, and says where a meaning differs."""
import subprocess

import pytest
import yaml

from tests.harness.daemon import BINARY, ROOT

CONFIGS, OTHERS = ROOT / "tests/data/configs", ROOT / "tests/data/migrate"
FLOWD_GO = sorted(CONFIGS.glob("*.yaml"))


def run(*words):
    return subprocess.run([str(BINARY), *map(str, words)], capture_output=True, text=True, timeout=60)


def migrated(file):
    done = run("migrate", file)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def effective(file):
    done = run("conf", "--conf", file)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def comment_at(text, key):
    """The comments above the line of a key, as one text."""
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip().startswith(f"{key}:"))
    found = []
    while at > 0 and lines[at - 1].strip().startswith("#"):
        at -= 1
        found.insert(0, lines[at].strip("# "))
    return " ".join(found)


@pytest.mark.parametrize("file", [*FLOWD_GO, *sorted(OTHERS.glob("*.cfg")), *sorted(OTHERS.glob("*.json"))], ids=lambda file: file.name)
def test_check_accepts_what_is_printed(file, tmp_path):
    conf = tmp_path / "conf.yaml"
    conf.write_text(migrated(file))
    done = run("check", "--conf", conf)
    assert done.returncode == 0, conf.read_text() + done.stdout


@pytest.mark.parametrize("file", FLOWD_GO, ids=lambda file: file.name)
def test_a_configuration_of_flowd_go_means_the_same(file, tmp_path):
    conf = tmp_path / "conf.yaml"
    conf.write_text(migrated(file))
    before, after = effective(file), effective(conf)
    for key in ("pidPath", "workDir"):  # which the service cannot write to
        before.pop(key, None)
        after.pop(key, None)
    assert after == before


def test_keys_whose_meaning_differs_have_a_comment():
    text = migrated(CONFIGS / "everything.yaml")
    for key, words in {"perfsonar": "every protocol over IPv6", "experimentId": "flowd-go ignores this spelling", "hasSyslogHeader": "no effect",
                       "maxReaders": "no effect", "removeQdisc": "only if flowd-cpp added", "matchAll": "catch-all", "period": "in ms",
                       "metrics": "_total", "marker": "UDP"}.items():
        assert words in comment_at(text, key), key
    assert "# pidPath:" in text and "# workDir:" in text
    assert comment_at(text, "bindPort") == "" and comment_at(text, "collectorPort") == ""
    assert "flowd-go: lo" in comment_at(migrated(CONFIGS / "minimal.yaml"), "marker")
    assert "2.4 ignores" in comment_at(migrated(CONFIGS / "perfsonar-2.5.yaml"), "fireflyp")
    assert "2.5" in comment_at(migrated(CONFIGS / "perfsonar-2.5.yaml"), "fireflyReceivers")


def test_names_are_those_of_flowd_cpp_and_tags_are_told_by_name(tmp_path):
    text = migrated(CONFIGS / "everything.yaml")
    assert "  fireflyp:\n" in text and "  metrics:\n" in text and "experimentID:" not in text
    assert "experimentId: 3  # cms\n" in migrated(CONFIGS / "perfsonar-installer.yaml")
    (tmp_path / "conf.yaml").write_text("plugins: {perfsonar: {experimentId: 4, activityId: 57}}\n")
    assert "activityId: 57  # not in the registry\n" in migrated(tmp_path / "conf.yaml")


def test_what_flowd_go_ignores_in_silence_becomes_a_comment(tmp_path):
    (tmp_path / "conf.yaml").write_text("plugins:\n  api: {bindPrt: 1}\nbackends:\n  marker: {}\n")
    text = migrated(tmp_path / "conf.yaml")
    assert "    # bindPrt: 1\n" in text and "bindPort" in comment_at(text, "# bindPrt")
    early = migrated(OTHERS / "flowd-go-early.json")
    assert "# defaultBackend: none\n" in early and "  marker:\n" in early and "ebpf:" not in early


@pytest.mark.parametrize("name, expected", [
    ("flowd-np.cfg", {"plugins": {"namedpipe": {}}, "enrichers": {"netlink": {}}, "backends": {
        "firefly": {"sendToCollector": True, "collectorAddress": "collector.example.org", "enrich": True}, "metrics": {}}}),
    ("flowd-netlink.cfg", {"plugins": {"netlink": {"experiment": 2, "activity": 16, "internalNetworks": ["192.0.2.0/24", "2001:db8::/32"]}},
                           "backends": {"marker": {"targetInterfaces": ["eth0"]}}}),
    ("flowd-firefly.cfg", {"plugins": {"fireflyp": {"bindPort": 10514}}, "backends": {"firefly": {}}}),
    ("flowd-iperf.cfg", {"plugins": {"iperf3": {"randomIDs": True, "experimentIDs": [2, 2, 3], "activityIDs": [9, 19, 3]}},
                         "backends": {"firefly": {}}}),
    ("how-to.json", {"backends": {"firefly": {"sendToCollector": True, "collectorAddress": "collector.example.org", "collectorPort": 10514}}}),
])
def test_other_forms_are_translated(name, expected):
    assert yaml.safe_load(migrated(OTHERS / name)) == expected


def test_what_is_left_out_is_told_with_its_reason():
    text = migrated(OTHERS / "flowd-firefly.cfg")
    assert "# left out: FIREFLY_LISTENER_HOST: for an address that is not loopback" in text
    assert "# left out: UDP_FIREFLY_IP4_SRC: write `stun:" in text
    assert "# left out: NETSTAT_EXPERIMENT: has no equivalent, or belongs to what is not configured" in text
    assert "experiment: 2  # atlas" in migrated(OTHERS / "flowd-netlink.cfg")
    how_to = migrated(OTHERS / "how-to.json").replace("\n# ", " ")
    assert "the SciTags how-to, which no daemon reads" in how_to and "no source of flows" in how_to


def test_a_file_of_another_kind_is_refused_with_a_sentence(tmp_path):
    file = tmp_path / "x"
    for text, words in (("a: 1\n", "neither a configuration of flowd-go nor one of flowd"), ("[", "not YAML"),
                        ("PLUGIN=open('x')\n", f"{file}:1: not a plain value"), ("", "neither a configuration")):
        file.write_text(text)
        done = run("migrate", file)
        assert done.returncode == 3 and words in done.stderr and done.stdout == "", (text, done)
    assert run("migrate", tmp_path / "none").returncode == 7
    assert run("migrate", tmp_path).returncode == 3
