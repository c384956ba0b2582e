// The collector's program: everything is in FabCity.
@preconcurrency import Glibc
import Ports

exit(FabCity.run(Array(CommandLine.arguments.dropFirst())).rawValue)
