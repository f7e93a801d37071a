/*
 * A program of another name with CPython inside, like uwsgi or a game: the interpreter is libpython, brought up by the
 * program itself. It takes the arguments that python takes, so that tests start both in the same way.
 */
#include <Python.h>

int main(int argc, char **argv)
{
	PyConfig config;
	PyConfig_InitPythonConfig(&config);
	PyStatus status = PyConfig_SetBytesArgv(&config, argc, argv);
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	if (PyStatus_Exception(status))
		Py_ExitStatusException(status);
	return Py_RunMain();
}
