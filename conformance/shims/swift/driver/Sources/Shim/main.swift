// Ottla's Swift package as a shim; conformance/shims/README.md says what the lines mean.
import Foundation
import Ottla

func unimplemented(_ why: String) -> Never {
    say(["unimplemented": why])
    exit(89)
}

let operation = CommandLine.arguments.dropFirst().first ?? ""
if operation == "version" {
    // The package does not tell its own: who builds it does.
    let version = ProcessInfo.processInfo.environment["OTTLA_SHIM_VERSION"] ?? "unknown"
    say(["client": "ottla for Swift", "version": version])
    exit(0)
}
let input = Input()
switch operation {
case "produce": try await produce(input)
case "consume-group": try await consume(input)
case "admin": try await administer(input)
default: unimplemented("there is no operation \(operation)")
}
say(["done": true])
// Not exit(), which waits for the thread that reads standard input.
_exit(0)
