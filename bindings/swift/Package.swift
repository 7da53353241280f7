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
        .testTarget(name: "OttlaTests", dependencies: ["Ottla", "OttlaTesting"]),
    ]
)
