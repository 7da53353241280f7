// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "ottla-shim-swift",
    platforms: [.macOS(.v13)],
    // A package is known by the name of its folder.
    dependencies: [.package(path: "../../../../bindings/swift")],
    targets: [
        .executableTarget(
            name: "ottla-shim-swift", dependencies: [.product(name: "Ottla", package: "swift")],
            path: "Sources/Shim")
    ]
)
