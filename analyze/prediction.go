package analyze

// Prediction is what is expected of a process under another condition.
type Prediction struct {
	Kind string `json:"kind"` // no_gil
}
