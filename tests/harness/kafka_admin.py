# SPDX-License-Identifier: Apache-2.0
"""Requests of Kafka's protocol that administer topics and groups. Kafka's own tools start a JVM for each of them."""
import socket
import struct

LIST_OFFSETS, OFFSET_COMMIT, OFFSET_FETCH, DESCRIBE_GROUPS, CREATE_TOPICS, DELETE_RECORDS = 2, 8, 9, 15, 19, 21
#: A broker that has just started: timed out, no replica is registered, not the controller.
NOT_YET = (7, 38, 41)
#: The coordinator of groups is not ready, or there is none before the first member has joined.
NO_COORDINATOR = (14, 15, 16)


def text(value):
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


def array(items):
    items = list(items)
    return struct.pack(">i", len(items)) + b"".join(items)


class Answer:
    def __init__(self, data):
        self.data = data

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data)
        self.data = self.data[struct.calcsize(">" + form):]
        return values[0] if len(values) == 1 else values

    def text(self):
        size = max(0, self.take("h"))
        value, self.data = self.data[:size].decode(), self.data[size:]
        return value

    def items(self):
        return range(self.take("i"))


def ask(address, key, version, body):
    host, port = address.rsplit(":", 1)
    request = struct.pack(">hhi", key, version, 1) + text("tests") + body
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        stream = connection.makefile("rb")
        size = struct.unpack(">i", stream.read(4))[0]
        return Answer(stream.read(size)[4:])


def create_topic(address, topic, partitions, configs):
    """False: the broker is not ready."""
    row = (text(topic) + struct.pack(">ih", partitions, 1) + array([]) +
           array(text(name) + text(str(value)) for name, value in configs.items()))
    answer = ask(address, CREATE_TOPICS, 4, array([row]) + struct.pack(">i?", 60000, False))
    answer.take("i")
    for _ in answer.items():
        answer.text()
        error, why = answer.take("h"), answer.text()
        if error in NOT_YET:
            return False
        assert error == 0, f"topic {topic}: {error} {why}"
    return True


def delete_records(address, topic, partition, before):
    row = text(topic) + array([struct.pack(">iq", partition, before)])
    answer = ask(address, DELETE_RECORDS, 1, array([row]) + struct.pack(">i", 60000))
    answer.take("i")
    for _ in answer.items():
        answer.text()
        assert [answer.take("iqh")[2] for _ in answer.items()] == [0]


def committed(address, group, topic, partitions):
    """The sum of the offsets that the group has committed."""
    row = text(topic) + array(struct.pack(">i", number) for number in range(partitions))
    answer = ask(address, OFFSET_FETCH, 5, text(group) + array([row]))
    answer.take("i")
    total, errors = 0, []
    for _ in answer.items():
        answer.text()
        for _ in answer.items():
            total += max(0, answer.take("iqi")[1])
            answer.text()
            errors.append(answer.take("h"))
    errors.append(answer.take("h"))
    if any(error in NO_COORDINATOR for error in errors):
        return 0
    assert not any(errors), errors
    return total


def group_state(address, group):
    """As the coordinator knows it: Empty, if it has no members."""
    answer = ask(address, DESCRIBE_GROUPS, 0, array([text(group)]))
    assert answer.take("ih") == (1, 0)
    assert answer.text() == group
    return answer.text()


def set_offset(address, group, topic, partition, offset):
    """Of a group without members."""
    row = text(topic) + array([struct.pack(">iqi", partition, offset, -1) + text("")])
    answer = ask(address, OFFSET_COMMIT, 7, text(group) + struct.pack(">i", -1) + text("") + text(None) + array([row]))
    answer.take("i")
    for _ in answer.items():
        answer.text()
        assert [answer.take("ih")[1] for _ in answer.items()] == [0]


def ends(address, topic, partitions):
    """The sum of the offsets behind the last record of each partition."""
    row = text(topic) + array(struct.pack(">iq", number, -1) for number in range(partitions))
    answer = ask(address, LIST_OFFSETS, 1, struct.pack(">i", -1) + array([row]))
    total = 0
    for _ in answer.items():
        answer.text()
        for _ in answer.items():
            _, error, _, offset = answer.take("ihqq")
            assert error == 0, error
            total += offset
    return total
