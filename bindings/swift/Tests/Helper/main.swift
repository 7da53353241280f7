// What the tests run in a process of its own: test-helper WHAT SERVERS TOPIC
import Foundation
import Ottla
import OttlaTesting

let (what, servers, topic) = (
    CommandLine.arguments[1], CommandLine.arguments[2], CommandLine.arguments[3]
)

func count(_ folder: String) throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: folder).count
}

func residentKiB() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
    return line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
}

/// Makes, uses and closes one client of each kind; every third time without closing.
func cycle(_ number: Int) async throws {
    let producer = try await Producer(["bootstrap.servers": servers])
    let written = try await producer.send(topic: topic, value: "\(number)", partition: 0)
    let partition = TopicPartition(topic: topic, partition: 0)
    let consumer = try await Consumer(
        ["bootstrap.servers": servers, "auto.offset.reset": "earliest"], partitions: [partition])
    try consumer.seek(partition, to: written.offset)
    guard try await consumer.nextRecord()?.value?.string == "\(number)" else { exit(3) }
    let admin = try await Admin(["bootstrap.servers": servers])
    _ = try await admin.describeCluster()
    if number % 3 == 0 { return }
    try await producer.close()
    try await consumer.close()
    try admin.close()
}

switch what {
case "cycles":
    for number in 0..<40 { try await cycle(number) }
    let before = (try count("/proc/self/task"), try count("/proc/self/fd"), try residentKiB())
    for number in 0..<200 { try await cycle(number) }
    // What was not closed ends in the background.
    var after = before
    for _ in 0..<2_000 {
        after = (try count("/proc/self/task"), try count("/proc/self/fd"), try residentKiB())
        if after.0 <= before.0 + 1, after.1 <= before.1 + 2 { break }
        try await Task.sleep(for: .milliseconds(5))
    }
    print("threads \(before.0) \(after.0)")
    print("files \(before.1) \(after.1)")
    print("kib \(before.2) \(after.2)")
case "ends":
    // Nothing is closed, and a consumer waits.
    let producer = try await Producer(["bootstrap.servers": servers])
    try await producer.send(topic: topic, value: "v")
    let consumer = try await Consumer(
        ["bootstrap.servers": servers, "group.id": topic], topics: [topic])
    let waiting = Task { try await consumer.nextRecord() }
    await Task.yield()
    print("end")
    _ = waiting
case "dies", "dies-after-kill":
    let broker = try await Broker.start()
    print(await broker.processID ?? 0, broker.dataDirectory.path)
    if what == "dies-after-kill" { try await broker.kill() }
    fflush(nil)
    kill(getpid(), SIGKILL)
default:
    exit(2)
}
