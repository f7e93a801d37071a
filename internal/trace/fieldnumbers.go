package trace

// Field numbers of the Perfetto messages we write, by message (protos of
// Perfetto v59.1, protos/perfetto/trace). Only what is used stands here.
const (
	fTracePacket = 1 // Trace

	fPacketFtrace          = 1 // TracePacket
	fPacketProcessTree     = 2
	fPacketClockSnapshot   = 6
	fPacketTimestamp       = 8
	fPacketSequence        = 10
	fPacketTrackEvent      = 11
	fPacketInterned        = 12
	fPacketSequenceFlags   = 13
	fPacketStateCleared    = 41
	fPacketSystemInfo      = 45
	fPacketCompressed      = 50
	fPacketDefaults        = 59
	fPacketTrackDescriptor = 60
	fPacketPerfSample      = 66
	fPacketFirstOnSequence = 87

	fClocks       = 1 // ClockSnapshot
	fPrimaryClock = 2
	fClockID      = 1 // ClockSnapshot.Clock
	fClockTime    = 2

	fSystemUtsname = 1 // SystemInfo
	fSystemService = 4
	fSystemCPUs    = 8
	fUtsSysname    = 1 // Utsname
	fUtsVersion    = 2
	fUtsRelease    = 3
	fUtsMachine    = 4

	fDefaultsPerf    = 12 // TracePacketDefaults
	fPerfTimebase    = 1  // PerfSampleDefaults
	fTimebaseFreq    = 2  // PerfEvents.Timebase
	fTimebaseCounter = 4

	fTrackUUID     = 1 // TrackDescriptor
	fTrackName     = 2
	fTrackProcess  = 3
	fTrackThread   = 4
	fTrackParent   = 5
	fTrackCounter  = 8
	fTrackOrdering = 11
	fTrackRank     = 12
	fTrackMerge    = 15
	fProcessPID    = 1 // ProcessDescriptor
	fThreadPID     = 1 // ThreadDescriptor
	fThreadTID     = 2
	fCounterUnit   = 6 // CounterDescriptor.unit_name

	fEventCategoryIID = 3 // TrackEvent
	fEventAnnotation  = 4
	fEventType        = 9
	fEventNameIID     = 10
	fEventTrack       = 11
	fEventCategory    = 22
	fEventName        = 23
	fEventCounter     = 30
	fEventLocationIID = 34
	fEventFlow        = 47
	fEventFlowEnd     = 48
	fEventCorrelation = 52
	fEventCallstack   = 56

	fAnnotationNameIID = 1 // DebugAnnotation
	fAnnotationInt     = 4
	fAnnotationString  = 6
	fAnnotationName    = 10
	fAnnotationTextIID = 17

	fInternedCategories  = 1 // InternedData
	fInternedEventNames  = 2
	fInternedAnnotations = 3
	fInternedLocations   = 4
	fInternedFunctions   = 5
	fInternedFrames      = 6
	fInternedCallstacks  = 7
	fInternedModules     = 17
	fInternedSources     = 18
	fInternedMappings    = 19
	fInternedTexts       = 29

	fIID              = 1 // of every interned message
	fText             = 2 // EventName, EventCategory, DebugAnnotationName, InternedString
	fLocationFile     = 2 // SourceLocation
	fLocationFunction = 3
	fLocationLine     = 4
	fFrameFunction    = 2 // Frame
	fFrameMapping     = 3
	fFrameRelPC       = 4
	fFrameSource      = 5
	fFrameLine        = 6
	fCallstackFrames  = 2 // Callstack, root first
	fMappingPath      = 7 // Mapping

	fTreeProcess   = 1 // ProcessTree
	fTreeThread    = 2
	fProcPID       = 1 // ProcessTree.Process
	fProcPPID      = 2
	fProcCmdline   = 3
	fTreeThreadTID = 1 // ProcessTree.Thread
	fTreeName      = 2
	fTreeThreadPID = 3

	fBundleCPU     = 1 // FtraceEventBundle
	fBundleCompact = 4

	fSwitchTime  = 1 // CompactSched
	fSwitchState = 2
	fSwitchNext  = 3
	fSwitchPrio  = 4
	fSchedComms  = 5
	fSwitchComm  = 6
	fWakeTime    = 7
	fWakeTID     = 8
	fWakeCPU     = 9
	fWakePrio    = 10
	fWakeComm    = 11

	fSampleCPU   = 1 // PerfSample
	fSamplePID   = 2
	fSampleTID   = 3
	fSampleStack = 4
	fSampleMode  = 5
)

// Values of enum fields.
const (
	typeBegin   = 1 // TrackEvent.type
	typeEnd     = 2
	typeInstant = 3
	typeCounter = 4

	seqCleared    = 1 // TracePacket.sequence_flags
	seqNeedsState = 2

	mergeNone     = 2 // TrackDescriptor.sibling_merge_behavior
	orderExplicit = 3 // TrackDescriptor.child_ordering

	clockRealtime  = 1 // BuiltinClock
	clockMonotonic = 3
	clockBoottime  = 6

	// softwareCPUClock is PerfEvents.SW_CPU_CLOCK, the counter of our samples.
	softwareCPUClock = 1
)
