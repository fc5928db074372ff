//go:build !race

package counter_test

const raceDetector = false
