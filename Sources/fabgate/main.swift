import Ports

FabgateTool.main()
