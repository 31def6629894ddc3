# SPDX-License-Identifier: Apache-2.0
"""One broker of Apache Kafka on loopback, from its released jars, with listeners for PLAINTEXT, SSL and SASL_SSL."""
import atexit
import json
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile

from . import kafka_admin
from .lab import sh, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
USER, PASSWORD = "flowd", "correct-horse"
SECONDS = 240  # a JVM on a loaded machine


def jars(major=4):
    return pathlib.Path(sh(str(ROOT / "tests/kafka/fetch-kafka"), "--where", str(major)).stdout.strip())


def missing():
    """Why no broker can be started; empty: it can."""
    lacking = [program for program in ("java", "kcat", "openssl") if shutil.which(program) is None]
    if not all((jars(major) / "complete").exists() for major in (3, 4)):
        lacking.append("its jars")
    return f"needs Kafka: {', '.join(lacking)} missing; run scripts/install-dependencies kafka" if lacking else ""


def free_ports(count):
    """Below the range of the kernel's choice: while a broker is down, no connection takes its port."""
    lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = []
    for port in random.sample(range(max(1024, lowest - 10000), lowest), 1000):
        try:
            socket.create_server(("127.0.0.1", port)).close()
            ports.append(port)
        except OSError:
            continue
        if len(ports) == count:
            break
    return ports


class Broker:
    """with Broker() as broker: broker.create("topic", 4)   kill() and start() leave the log where it is."""

    made = {}  # what every broker begins with: keys, and by major version a formatted log

    def __init__(self, major=4, fast=False, **properties):
        """fast: the compiler takes its time to start, and the broker is faster then."""
        self.major, self.jars = major, jars(major)
        self.jvm = [] if fast else ["-XX:TieredStopAtLevel=1"]
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="flowd-kafka-", dir="/run"))
        self.plain, self.ssl, self.sasl, self.controller = free_ports(4)
        self.process, self.ca = None, self.directory / "ca.pem"
        self.certificates()
        at = "127.0.0.1"
        self.properties = {
            "process.roles": "broker,controller", "node.id": "1", "controller.quorum.voters": f"1@{at}:{self.controller}",
            "listeners": f"PLAINTEXT://{at}:{self.plain},SSL://{at}:{self.ssl},SASL_SSL://{at}:{self.sasl},CONTROLLER://{at}:{self.controller}",
            "advertised.listeners": f"PLAINTEXT://{at}:{self.plain},SSL://{at}:{self.ssl},SASL_SSL://{at}:{self.sasl}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
            "controller.listener.names": "CONTROLLER", "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.directory / "log"), "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1", "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # A broker that was killed is registered again when its session has ended: by default after 9 s.
            "broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500", "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config":
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "ssl.keystore.type": "PEM", "ssl.keystore.location": str(self.directory / "broker.pem"),
        } | properties
        self.conf = self.directory / "server.properties"
        self.conf.write_text("".join(f"{name}={value}\n" for name, value in self.properties.items()))

    def certificates(self):
        def openssl(*words):
            sh("openssl", *words)

        here, names = self.directory, ("ca.pem", "broker.pem")
        if "keys" in self.made:
            for name, text in zip(names, self.made["keys"]):
                (here / name).write_text(text)
            return
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{here}/ca.key", "-out", str(self.ca), "-days", "2",
                "-subj", "/CN=test authority")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{here}/broker.key", "-out", f"{here}/broker.csr", "-subj", "/CN=broker")
        (here / "extensions").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl("x509", "-req", "-in", f"{here}/broker.csr", "-CA", str(self.ca), "-CAkey", f"{here}/ca.key", "-CAcreateserial",
                "-out", f"{here}/broker.crt", "-days", "2", "-extfile", f"{here}/extensions")
        (here / "broker.pem").write_text((here / "broker.key").read_text() + (here / "broker.crt").read_text())
        self.made["keys"] = [(here / name).read_text() for name in names]

    def format(self):
        kept = self.made.get(self.major)
        if kept is None:
            self.java("kafka.tools.StorageTool", "format", "-t", "flowdflowdflowdflowdfw", "-c", self.conf,
                      "--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]")
            kept = self.made[self.major] = pathlib.Path(tempfile.mkdtemp(prefix="flowd-kafka-", dir="/run")) / "log"
            atexit.register(shutil.rmtree, kept.parent, ignore_errors=True)
            shutil.copytree(self.directory / "log", kept)
        elif not (self.directory / "log").exists():
            shutil.copytree(kept, self.directory / "log")

    def java(self, main, *words, **options):
        command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{self.jars}/*", main, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS, **options).stdout

    def start(self):
        self.format()
        self.output = open(self.directory / "output", "a")
        self.process = subprocess.Popen(["java", "-Xmx768m", "-XX:+UseSerialGC", *self.jvm, "-cp", f"{self.jars}/*", "kafka.Kafka", str(self.conf)],
                                        stdout=self.output, stderr=self.output)
        wait_for(self.answers, "the broker to answer", SECONDS)

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the broker ended with {self.process.returncode}: {(self.directory / 'output').read_text()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", self.plain)).close()
        except OSError:
            return False  # kcat would take the CPU time that the broker needs
        return subprocess.run(["kcat", "-L", "-m", "10", "-b", self.address], capture_output=True, check=False).returncode == 0

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.output.close()

    @property
    def address(self):
        return f"127.0.0.1:{self.plain}"

    def create(self, topic, partitions=4, **configs):
        properties = {name.replace("_", "."): value for name, value in configs.items()}
        wait_for(lambda: kafka_admin.create_topic(self.address, topic, partitions, properties), f"the topic {topic}", SECONDS)

    def delete_records(self, topic, before, partition=0):
        kafka_admin.delete_records(self.address, topic, partition, before)

    def committed(self, group, topic, partitions=4):
        return kafka_admin.committed(self.address, group, topic, partitions)

    def group_state(self, group):
        return kafka_admin.group_state(self.address, group)

    def ends(self, topic, partitions=4):
        return kafka_admin.ends(self.address, topic, partitions)

    def set_offset(self, group, topic, offset, partition=0):
        kafka_admin.set_offset(self.address, group, topic, partition, offset)

    def read(self, topic):
        """What kcat reads from the beginning to the end: [{"partition", "offset", "key", "payload"}]"""
        out = subprocess.run(["kcat", "-C", "-b", self.address, "-t", topic, "-o", "beginning", "-e", "-q", "-J"],
                             capture_output=True, text=True, check=True, timeout=SECONDS).stdout
        return [json.loads(line) for line in out.splitlines()]

    def batches(self, topic):
        """The batches in the broker's log, as DumpLogSegments prints them: [{"compresscodec": "lz4", "producerId": "0", ...}]"""
        files = [str(file) for file in sorted((self.directory / "log").glob(f"{topic}-*/*.log"))]
        out = self.java("org.apache.kafka.tools.DumpLogSegments", "--files", ",".join(files))
        return [dict(zip(words[::2], words[1::2])) for words in
                (line.replace(": ", " ").split() for line in out.splitlines() if line.startswith("baseOffset:"))]

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def free_udp_port():
    """A UDP port that is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
