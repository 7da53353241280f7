// swift-tools-version: 6.0
import Foundation
import PackageDescription

let package = Package(
    name: "ottla",
    platforms: [.macOS(.v13), .iOS(.v16), .tvOS(.v16), .watchOS(.v9)],
    products: [
        .library(name: "Ottla", targets: ["Ottla"]),
        .library(name: "OttlaTesting", targets: ["OttlaTesting"]),
    ],
    targets: [
        // The native library, found by pkg-config: no flags here, so that any package may depend on
        // this one by version.
        .systemLibrary(name: "COttla", pkgConfig: "ottla"),
        // Generated, see generate.sh; it does not pass the checks of Swift 6.
        .target(
            name: "OttlaFFI",
            dependencies: ["COttla"],
            swiftSettings: [.swiftLanguageMode(.v5)]
        ),
        .target(name: "Ottla", dependencies: ["COttla", "OttlaFFI"]),
        .target(name: "OttlaTesting"),
    ]
)

func program(_ name: String, _ path: String) -> Target {
    .executableTarget(name: name, dependencies: ["Ottla"], path: path)
}

// The package as it is delivered has neither examples nor tests.
if FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/Tests") {
    let programs = [
        program("example-quickstart", "Examples/Quickstart"),
        program("example-produce", "Examples/Produce"),
        program("example-consume-group", "Examples/ConsumeGroup"),
        program("example-sqlite-sink", "Examples/SQLiteSink"),
        program("example-http-service", "Examples/HTTPService"),
        program("example-throughput", "Examples/Throughput"),
        // What tests run in a process of its own.
        .executableTarget(
            name: "test-helper", dependencies: ["Ottla", "OttlaTesting"], path: "Tests/Helper"),
    ]
    package.targets += programs + [
        .testTarget(
            name: "OttlaTests",
            dependencies: ["Ottla", "OttlaTesting"] + programs.map { .target(name: $0.name) }
        ),
    ]
}
