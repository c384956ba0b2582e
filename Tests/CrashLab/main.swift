@preconcurrency import Glibc

exit(CrashLab.run(Array(CommandLine.arguments.dropFirst())))
