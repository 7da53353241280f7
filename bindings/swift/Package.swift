// swift-tools-version: 6.0
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
        .executableTarget(
            name: "example-produce", dependencies: ["Ottla"], path: "Examples/Produce"),
        .executableTarget(
            name: "example-consume-group", dependencies: ["Ottla"], path: "Examples/ConsumeGroup"),
        .executableTarget(
            name: "example-sqlite-sink", dependencies: ["Ottla"], path: "Examples/SQLiteSink"),
        .executableTarget(
            name: "example-http-service", dependencies: ["Ottla"], path: "Examples/HTTPService"),
        // What tests run in a process of its own.
        .executableTarget(name: "test-helper", dependencies: ["Ottla"], path: "Tests/Helper"),
        .testTarget(
            name: "OttlaTests",
            dependencies: [
                "Ottla", "OttlaTesting", "example-produce", "example-consume-group",
                "example-sqlite-sink", "example-http-service", "test-helper",
            ]
        ),
    ]
)
