/* An extension module that does not say whether it can do without the GIL, so CPython turns that on. */
#include <Python.h>

static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "needsgil", NULL, 0, NULL, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_needsgil(void) { return PyModuleDef_Init(&def); }
