package trace

// The need functions see to it that an entry is in the file in this
// generation: they append it to the pending InternedData unless it is.

// needString writes a string. The table of source paths serves as our table
// of all strings, with the StringID as iid; Perfetto ignores unused entries.
func (in *interner) needString(id StringID) {
	if s := &in.strings[id]; id != 0 && s.gen != in.gen {
		s.gen = in.gen
		in.pending = appendInterned(in.pending, fInternedSources, uint64(id), s.text)
	}
}

// needFrame writes a frame and what it refers to. Its function name has the
// frame's own iid, since it may carry the frame's line.
func (in *interner) needFrame(id FrameID) {
	e := &in.frames[id]
	if e.gen == in.gen {
		return
	}
	e.gen = in.gen
	f := e.frame
	in.needString(f.Function)
	in.needString(f.File)
	in.needMapping(f.Module)
	name := functionText(f, in.strings[f.Function].text, in.strings[f.File].text)
	in.pending = appendInterned(in.pending, fInternedFunctions, uint64(id), name)
	b, at := open(in.pending, fInternedFrames)
	b = appendUint(b, fIID, uint64(id))
	b = appendUint(b, fFrameFunction, uint64(id))
	b = appendUint(b, fFrameMapping, mappingIID(f.Module))
	if f.RelPC != 0 {
		b = appendUint(b, fFrameRelPC, f.RelPC)
	}
	if f.File != 0 {
		b = appendUint(b, fFrameSource, uint64(f.File))
	}
	if f.Line != 0 {
		b = appendUint(b, fFrameLine, uint64(uint32(f.Line)))
	}
	in.pending = seal(b, at)
}

// needMapping writes the mapping of a module, and the module's string.
func (in *interner) needMapping(module StringID) {
	if in.mappings[module] == in.gen {
		return
	}
	in.mappings[module] = in.gen
	in.needString(module)
	path := in.strings[module].text
	if module == 0 {
		path = pythonMapping
	}
	iid := mappingIID(module)
	in.pending = appendInterned(in.pending, fInternedModules, iid, path)
	b, at := open(in.pending, fInternedMappings)
	b = appendUint(b, fIID, iid)
	b = appendUint(b, fMappingPath, iid)
	in.pending = seal(b, at)
}

// needStack writes a stack and its frames; Perfetto wants the root first.
func (in *interner) needStack(id StackID) {
	s := &in.stacks[id]
	if s.gen == in.gen {
		return
	}
	s.gen = in.gen
	refs := in.frameRefs[s.start:s.end]
	for _, f := range refs {
		in.needFrame(f)
	}
	b, at := open(in.pending, fInternedCallstacks)
	b = appendUint(b, fIID, uint64(id))
	for i := len(refs) - 1; i >= 0; i-- {
		b = appendUint(b, fCallstackFrames, uint64(refs[i]))
	}
	in.pending = seal(b, at)
}

// needLocation writes a frame as a source location.
func (in *interner) needLocation(id FrameID) {
	e := &in.frames[id]
	if e.locGen == in.gen {
		return
	}
	e.locGen = in.gen
	b, at := open(in.pending, fInternedLocations)
	b = appendUint(b, fIID, uint64(id))
	b = appendString(b, fLocationFile, in.strings[e.frame.File].text)
	b = appendString(b, fLocationFunction, in.strings[e.frame.Function].text)
	b = appendUint(b, fLocationLine, uint64(uint32(e.frame.Line)))
	in.pending = seal(b, at)
}

// needSliceName writes a thread's name as a name of slices.
func (in *interner) needSliceName(id uint32) uint64 {
	iid := firstNameIID + uint64(id)
	if n := &in.names[id]; n.sliceGen != in.gen {
		n.sliceGen = in.gen
		in.pending = appendInterned(in.pending, fInternedEventNames, iid, n.text)
	}
	return iid
}

// needText writes a thread's name as a text of annotations.
func (in *interner) needText(id uint32) uint64 {
	iid := firstNameIID + uint64(id)
	if n := &in.names[id]; n.textGen != in.gen {
		n.textGen = in.gen
		in.pending = appendInterned(in.pending, fInternedTexts, iid, n.text)
	}
	return iid
}
