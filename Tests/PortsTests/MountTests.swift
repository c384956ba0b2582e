import Ports
import Testing

@Suite("Mounted file systems")
struct MountTests {
    @Test func aLineOfTheKernelSaysKindPointAndOptions() throws {
        let line =
            "41 29 179:2 /data /var/lib/an\\040old\\134card rw,noatime shared:7 propagate_from:3 - ext4 /dev/mmcblk0p2 rw,lazytime,commit=900"
        let mount = try #require(Mount(line))
        #expect(mount.point == "/var/lib/an old\\card")
        #expect(mount.kind == "ext4")
        #expect(mount.options == ["rw", "noatime", "rw", "lazytime", "commit=900"])
        #expect(mount.journalInterval == 900)
    }

    @Test(arguments: [
        ("22 1 254:0 / / rw,relatime - ext4 /dev/vda1 rw", 5), ("22 1 254:0 / / rw - ext4 /dev/vda1 rw,commit=60", 60),
    ])
    func anExt4CommitsEveryFiveSecondsUnlessItSaysOtherwise(_ line: String, _ seconds: Int) throws {
        #expect(try #require(Mount(line)).journalInterval == seconds)
    }

    @Test func anotherFileSystemHasNoIntervalThatIsKnown() throws {
        #expect(try #require(Mount("22 1 0:21 / / rw - tmpfs tmpfs rw,commit=60")).journalInterval == nil)
    }

    @Test(arguments: ["", "22 1 254:0 / /", "22 1 254:0 / / rw - ext4", "22 1 254:0 / / rw shared:1 ext4 /dev/vda1 rw"])
    func whatIsNoLineIsNoMount(_ line: String) { #expect(Mount(line) == nil) }

    @Test func aPathIsOnTheFileSystemAboveIt() throws {
        #expect(try #require(Mount.holding("/proc/self/status")).kind == "proc")
        // What is not there yet will be where its folder is.
        let folder = try Files.makeTemporaryFolder(prefix: "fabgate-mount")
        defer { Files.removeFolder(folder) }
        #expect(Mount.holding("\(folder)/new/store") == Mount.holding(folder))
        #expect(Mount.holding("/no/such/folder") == Mount.holding("/"))
    }
}
