# SPDX-License-Identifier: Apache-2.0
"""docs/monitoring.md, the alert rules and the sources agree."""
import re
import subprocess

import yaml

from tests.harness.daemon import ROOT

GUIDE = (ROOT / "docs/monitoring.md").read_text()
RULES = ROOT / "etc/prometheus/flowd-cpp.rules.yaml"


def alerts():
    return {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}


def rows(heading):
    """The cells of the first table below a heading, without its first two lines."""
    section = GUIDE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_alert_rules_are_valid_and_fire():
    subprocess.run(["promtool", "check", "rules", str(RULES)], check=True)
    subprocess.run(["promtool", "test", "rules", str(ROOT / "tests/data/prometheus/flowd-cpp.rules.test.yaml")], check=True)


def test_each_documented_finding_fires_the_alert_of_its_severity(tmp_path):
    fires = {"error": "FlowdCppError", "warning": "FlowdCppWarning"}
    cases = {(row[0].strip("`"), severity) for row in rows("Findings") for severity in ("note", "warning", "error") if severity in row[1]}
    assert {identity for identity, _ in cases} == {row[0].strip("`") for row in rows("Findings")}
    tests = []
    for identity, severity in sorted(cases):
        labels = {"instance": "a", "flowd_instance": "some instance", "id": identity}
        alert_labels = labels | {"severity": "critical" if severity == "error" else "warning"}
        series = "flowd_findings{" + ",".join(f'{name}="{value}"' for name, value in (labels | {"severity": severity}).items()) + "}"
        annotations = {"summary": f"a: some instance: {identity}",
                       "description": "flowd-cpp findings shows what was found and what to do about it."}
        expected = [{"alertname": alert, "eval_time": "60m",
                     "exp_alerts": [{"exp_labels": alert_labels, "exp_annotations": annotations}] if fires.get(severity) == alert else []}
                    for alert in fires.values()]
        tests.append({"interval": "1m", "input_series": [{"series": series, "values": "1x60"}], "alert_rule_test": expected})
    file = tmp_path / "findings.test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guide_lists_every_alert():
    assert [row[0].strip("`") for row in rows("Prometheus")] == list(alerts())


def test_the_guide_describes_every_finding_of_the_sources_and_no_other():
    # An id begins with the name of the component that finds it.
    names = ["daemon"] + [folder.name for part in ("plugins", "backends") for folder in (ROOT / part).iterdir()]
    made = re.compile(rf'"((?:{"|".join(names)})-[a-z][a-z0-9-]*)"')
    ids = {found for part in ("core/config", "core/service", "core/cli", "lib", "plugins", "backends") for file in (ROOT / part).rglob("*.[ch]pp")
           for found in made.findall(file.read_text())}
    assert len(ids) >= 17
    described = [row[0].strip("`") for row in rows("Findings")]
    assert described == sorted(ids)
    assert all(all(cell for cell in row) and len(row) == 5 for row in rows("Findings"))


def test_the_alert_rules_use_documented_series():
    asked = {name for rule in alerts().values() for name in re.findall(r"\b(?:flowd|process)_\w+", rule["expr"])} - {"flowd_instance"}
    sources = "".join(file.read_text() for part in ("core", "backends") for file in (ROOT / part).rglob("*.[ch]pp"))
    for name in asked:
        assert f'"{name.removeprefix("flowd_")}"' in sources, name


def test_the_examples_of_the_guide_are_correct(tmp_path):
    blocks = re.findall(r"```yaml\n(.*?)```", GUIDE, re.S)
    assert len(blocks) == 2 and "metrics" in yaml.safe_load(blocks[0])["backends"]
    scrape = tmp_path / "prometheus.yml"
    (tmp_path / "rules.yaml").write_text(RULES.read_text())
    (tmp_path / "token").write_text("t")
    scrape.write_text(blocks[1].replace("/etc/prometheus/flowd-cpp.rules.yaml", "rules.yaml").replace("/etc/prometheus/flowd.token", "token"))
    subprocess.run(["promtool", "check", "config", str(scrape)], check=True)
