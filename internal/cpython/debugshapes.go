package cpython

import "strings"

// The forms of _Py_DebugOffsets, as CPython Include/internal/pycore_debug_offsets.h
// declares them in each minor version (3.13 to 3.15 checked against the tables of
// live builds): one group of fields in a line, in their order. A group that begins
// with "size" describes a C struct, and what follows are offsets below that size,
// except those marked with "!". A free-threaded build has the same fields.
const (
	fields313 = `
header              cookie version free_threaded
runtime_state       size finalizing interpreters_head
interpreter_state   size id next threads_head gc imports_modules sysdict builtins ceval_gil gil_runtime_state
                    gil_runtime_state_enabled gil_runtime_state_locked gil_runtime_state_holder
thread_state        size prev next interp current_frame thread_id native_thread_id datastack_chunk status
interpreter_frame   size previous executable instr_ptr localsplus owner
code_object         size filename name qualname linetable firstlineno argcount localsplusnames localspluskinds co_code_adaptive
pyobject            size ob_type
type_object         size tp_name tp_repr tp_flags
tuple_object        size ob_item ob_size
list_object         size ob_item ob_size
dict_object         size ma_keys ma_values
float_object        size ob_fval
long_object         size lv_tag ob_digit
bytes_object        size ob_size ob_sval
unicode_object      size state length asciiobject_size
gc                  size collecting`

	fields314 = `
header              cookie version free_threaded
runtime_state       size finalizing interpreters_head
interpreter_state   size id next threads_head threads_main gc imports_modules sysdict builtins ceval_gil gil_runtime_state
                    gil_runtime_state_enabled gil_runtime_state_locked gil_runtime_state_holder code_object_generation tlbc_generation
thread_state        size prev next interp current_frame thread_id native_thread_id datastack_chunk status
interpreter_frame   size previous executable instr_ptr localsplus owner stackpointer tlbc_index
code_object         size filename name qualname linetable firstlineno argcount localsplusnames localspluskinds co_code_adaptive co_tlbc
pyobject            size ob_type
type_object         size tp_name tp_repr tp_flags
tuple_object        size ob_item ob_size
list_object         size ob_item ob_size
set_object          size used table mask
dict_object         size ma_keys ma_values
float_object        size ob_fval
long_object         size lv_tag ob_digit
bytes_object        size ob_size ob_sval
unicode_object      size state length asciiobject_size
gc                  size collecting
gen_object          size gi_name gi_iframe gi_frame_state
llist_node          next prev
debugger_support    eval_breaker remote_debugger_support remote_debugging_enabled debugger_pending_call
                    debugger_script_path debugger_script_path_size`

	fields315 = `
header              cookie version free_threaded
runtime_state       size finalizing interpreters_head
interpreter_state   size id next threads_head threads_main gc imports_modules sysdict builtins ceval_gil gil_runtime_state
                    gil_runtime_state_enabled gil_runtime_state_locked gil_runtime_state_holder code_object_generation tlbc_generation
thread_state        size prev next interp current_frame base_frame last_profiled_frame last_profiled_frame_seq thread_id
                    native_thread_id datastack_chunk status holds_gil gil_requested current_exception exc_state
err_stackitem       exc_value
interpreter_frame   size previous executable instr_ptr localsplus owner stackpointer tlbc_index
code_object         size filename name qualname linetable firstlineno argcount localsplusnames localspluskinds co_code_adaptive co_tlbc
pyobject            size ob_type
type_object         size tp_name tp_repr tp_flags tp_basicsize tp_dictoffset
heap_type_object    size ht_cached_keys
tuple_object        size ob_item ob_size
list_object         size ob_item ob_size
set_object          size used table mask
dict_object         size ma_keys ma_values
float_object        size ob_fval
long_object         size lv_tag ob_digit
bytes_object        size ob_size ob_sval
unicode_object      size state length asciiobject_size compactunicodeobject_size
gc                  size collecting frame generation_stats_size! generation_stats
gen_object          size gi_name gi_iframe gi_frame_state
llist_node          next prev
debugger_support    eval_breaker remote_debugger_support remote_debugging_enabled debugger_pending_call
                    debugger_script_path debugger_script_path_size`
)

// newestKnown is the last minor version whose structs were examined. Of a newer
// one more is verified, see verifyFrames.
const newestKnown = 0x030f

// debugShape is the form of the table of one minor version.
type debugShape struct {
	name   string // "3.14"
	fields []debugField
	pos    map[string]int // place in fields of "group.field"
}

// debugField is one u64 of the table.
type debugField struct {
	name  string // "thread_state.next"
	limit int    // place of the size that bounds the value, -1: nothing bounds it
}

var (
	shape313 = newShape("3.13", fields313)
	shape314 = newShape("3.14", fields314)
	shape315 = newShape("3.15", fields315)
)

// newShape reads one of the texts above.
func newShape(name, text string) *debugShape {
	s := &debugShape{name: name, pos: map[string]int{}}
	group, size := "", -1
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if line[0] != ' ' {
			group, size, words = words[0], -1, words[1:]
		}
		for _, word := range words {
			field := debugField{group + "." + strings.TrimSuffix(word, "!"), size}
			if word == "size" {
				size = len(s.fields)
			} else if strings.HasSuffix(word, "!") {
				field.limit = -1
			}
			s.pos[field.name] = len(s.fields)
			s.fields = append(s.fields, field)
		}
	}
	return s
}

// bytes is the size of the table.
func (s *debugShape) bytes() int { return 8 * len(s.fields) }

// shapeOf returns the form of the table of a minor version. One that is newer
// than all known ones gets the newest; if its table has another form, the sizes
// in it contradict the offsets (check), and if not that, the live process (verify).
func shapeOf(v Version) (*debugShape, bool) {
	switch {
	case v.series() < 0x030d:
		return nil, false
	case v.series() == 0x030d:
		return shape313, true
	case v.series() == 0x030e:
		return shape314, true
	}
	return shape315, v.Major() == 3
}
