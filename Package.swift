// swift-tools-version:6.2
import PackageDescription

/// Each function in a section of its own: the linker drops those that nobody calls, and can lay the others as it likes.
/// Not for fuzzers, whose counters stay with whole modules.
let isFuzzed = Context.environment["FABGATE_LIBFUZZER"] != nil
let sections = SwiftSetting.unsafeFlags(
    isFuzzed ? [] : ["-Xfrontend", "-function-sections"], .when(configuration: .release))

/// Lays those functions side by side that a running gateway needs: otherwise they take 4 MB more of its memory, which is a
/// fifth. deploy/hot-functions says why, and writes the list. Nobody looks a function of the program up by its name: a
/// table of names need not be there. The linker is the one that comes with the toolchain.
let hotFunctionsFirst = LinkerSetting.unsafeFlags(
    [
        "-use-ld=lld", "-Xlinker", "--no-warn-symbol-ordering", "-Xlinker",
        "--symbol-ordering-file=\(Context.packageDirectory)/deploy/hot-functions.txt", "-Xlinker",
        "--no-export-dynamic",
    ], .when(configuration: .release))

/// Modules that touch the system.
let edge: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
    sections,
]

/// Modules that only compute: no pointer, no system call, no clock.
let pure: [SwiftSetting] = edge + [.strictMemorySafety()]

/// A family of devices: its drivers on Model alone. `models/` is data that the program reads when it runs.
func family(_ name: String, _ folder: String) -> Target {
    .target(
        name: name, dependencies: ["Model"], path: "devices/\(folder)", exclude: ["models", "README.md"],
        swiftSettings: pure)
}

/// A C library from Debian: a module map and a shim. Only Ports depends on these.
func library(_ name: String, pkgConfig: String, apt: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([apt])])
}

let families: [Target.Dependency] = ["Plugs", "Meters", "Printers", "DeskFactories", "Workshop"]

let package = Package(
    name: "fabgate",
    targets: [
        // The words that everything speaks.
        .target(name: "Model", swiftSettings: pure, linkerSettings: [.linkedLibrary("m")]),

        // What a device says becomes readings. One target a family, none sees another.
        family("Plugs", "plugs"),
        family("Meters", "meters"),
        family("Printers", "printers"),
        family("DeskFactories", "desk-factories"),
        family("Workshop", "workshop"),

        // The parts.
        .target(name: "Store", dependencies: ["Model"], swiftSettings: pure),
        .target(name: "Usage", dependencies: ["Model"], swiftSettings: pure),
        .target(name: "CityLink", dependencies: ["Model"], swiftSettings: pure),
        .target(name: "Simulation", dependencies: ["Model", "Store"], swiftSettings: pure),

        // The whole gateway and the whole collector, without a system underneath.
        .target(name: "Hub", dependencies: ["Model", "Store", "Usage", "CityLink"], swiftSettings: pure),
        .target(
            name: "Web", dependencies: ["Model", "Hub", "Store", "Usage", "CityLink"], exclude: ["pages"],
            swiftSettings: pure),
        .target(name: "City", dependencies: ["Model", "CityLink"], swiftSettings: pure),

        // Where it meets the system.
        .systemLibrary(name: "CLinux"),
        library("CMosquitto", pkgConfig: "libmosquitto", apt: "libmosquitto-dev"),
        library("CMicroHTTPD", pkgConfig: "libmicrohttpd", apt: "libmicrohttpd-dev"),
        // Opened when somebody asks over HTTP; see its shim.
        .systemLibrary(name: "CCurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        library("CSQLite", pkgConfig: "sqlite3", apt: "libsqlite3-dev"),
        // What the store is measured beside; the product does not have it.
        library("CRrd", pkgConfig: "librrd", apt: "librrd-dev"),
        library("CYaml", pkgConfig: "yaml-0.1", apt: "libyaml-dev"),
        library("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
        library("CCrypto", pkgConfig: "libcrypto", apt: "libssl-dev"),
        .target(
            name: "Ports",
            dependencies: [
                "Model", "Store", "CLinux", "CMosquitto", "CMicroHTTPD", "CCurl", "CSQLite", "CYaml", "CZlib",
                "CCrypto",
            ],
            swiftSettings: edge),

        // What people run.
        .executableTarget(
            name: "fabgate",
            dependencies: ["Model", "Store", "Usage", "CityLink", "City", "Hub", "Web", "Simulation", "Ports"]
                + families,
            swiftSettings: edge, linkerSettings: [hotFunctionsFirst]),
        .executableTarget(
            name: "fabcity", dependencies: ["Model", "CityLink", "City", "Ports"], swiftSettings: edge),
        // Counts what Bench allocates; no other program has it.
        .target(name: "AllocationCount", path: "Sources/Bench/AllocationCount"),
        // What the gateway is measured beside, in C: no Swift stands between it and libmosquitto.
        .target(name: "IngestPeers", dependencies: ["CMosquitto"], path: "Sources/Bench/IngestPeers"),
        .executableTarget(
            name: "Bench",
            dependencies: [
                "Model", "Store", "Usage", "CityLink", "Hub", "Web", "Ports", "AllocationCount", "IngestPeers",
                "CSQLite", "CRrd",
            ]
                + families,
            exclude: ["AllocationCount", "IngestPeers"], swiftSettings: edge),

        // How we know that it works.
        .testTarget(name: "ModelTests", dependencies: ["Model"], swiftSettings: edge),
        .testTarget(name: "DeviceTests", dependencies: ["Model", "Ports"] + families, swiftSettings: edge),
        .testTarget(
            name: "StoreTests", dependencies: ["Model", "Store"], exclude: ["Fixtures"], swiftSettings: edge),
        .testTarget(name: "UsageTests", dependencies: ["Model", "Usage", "Ports"], swiftSettings: edge),
        .testTarget(name: "CityTests", dependencies: ["Model", "CityLink", "City", "Ports"], swiftSettings: edge),
        .testTarget(
            name: "HubTests",
            dependencies: [
                "Model", "Store", "Usage", "CityLink", "City", "Hub", "Web", "Simulation", "Ports", "fabgate",
            ] + families,
            swiftSettings: edge),
        .testTarget(name: "PortsTests", dependencies: ["Model", "Store", "Ports"], swiftSettings: edge),
        .testTarget(name: "WholeTests", dependencies: ["Model", "Ports", "fabgate", "fabcity"], swiftSettings: edge),
        .testTarget(name: "TidyTests", swiftSettings: edge),
        // Power cuts, kills and wear on real disks; `deploy/labs/README.md` tells of it.
        .executableTarget(
            name: "CrashLab", dependencies: ["Model", "Store", "CityLink", "Ports", "CLinux"], path: "Tests/CrashLab",
            swiftSettings: edge),
    ],
    swiftLanguageModes: [.v6]
)

// Fuzzers need the coverage and the main loop of libFuzzer, which deploy/fuzz builds with and names here.
if let fuzzer = Context.environment["FABGATE_LIBFUZZER"] {
    package.targets.append(
        .executableTarget(
            name: "Fuzz", dependencies: ["Model", "Store", "CityLink", "Hub", "Ports"] + families, path: "Tests/Fuzz",
            swiftSettings: edge, linkerSettings: [.unsafeFlags([fuzzer, "-lstdc++"])]))
}
