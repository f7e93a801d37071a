// Package livetest records real interpreters on the real kernel, as a user
// would, and compares what gilscope says with what the programs measured of
// themselves and with SQL in the real Perfetto. It needs root, the interpreters
// (`make pythons`) and Perfetto (`make oracle`); without one of them it fails.
package livetest
