// Each record exactly once in a table of SQLite: example-sqlite-sink SERVERS TOPIC FILE COUNT
//
// Records and positions are written in one transaction, and reading goes on from the positions that
// the table has: whatever dies when, a record is neither lost nor written twice. Rows are keyed by
// partition and offset, so that even a record that comes again changes nothing.
import Foundation
import Ottla

let arguments = CommandLine.arguments
guard arguments.count == 5, let count = Int64(arguments[4]) else {
    print("usage: example-sqlite-sink SERVERS TOPIC FILE COUNT")
    exit(2)
}
let (servers, topic) = (arguments[1], arguments[2])
let database = try SQLite(path: arguments[3])
try database.run(
    """
    CREATE TABLE IF NOT EXISTS records
    (partition INTEGER, "offset" INTEGER, value TEXT, PRIMARY KEY (partition, "offset"))
    """)
try database.run(
    "CREATE TABLE IF NOT EXISTS positions (partition INTEGER PRIMARY KEY, next INTEGER)")

let admin = try await Admin(["bootstrap.servers": servers])
let partitions = try await admin.describeTopics([topic])[topic]?.get().partitions ?? []
try admin.close()

let consumer = try await Consumer(
    ["bootstrap.servers": servers, "auto.offset.reset": "earliest"],
    partitions: partitions.map { TopicPartition(topic: topic, partition: $0.partition) })
for row in try database.run("SELECT partition, next FROM positions") {
    try consumer.seek(TopicPartition(topic: topic, partition: Int32(row[0])), to: row[1])
}

@MainActor func rowCount() throws -> Int64 {
    try database.run("SELECT count(*) FROM records")[0][0]
}

while try rowCount() < count, let batch = try await consumer.nextBatch() {
    try database.run("BEGIN")
    let partition = Int64(batch.partition)
    for record in batch {
        try database.run(
            "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            [partition, record.offset, record.value?.string ?? ""])
    }
    try database.run(
        """
        INSERT INTO positions VALUES (?, ?) ON CONFLICT DO UPDATE SET next = excluded.next
        """, [partition, batch.lastOffset + 1])
    try database.run("COMMIT")
}
print("\(try rowCount()) records in \(arguments[3])")
try await consumer.close()
