# Commands of several admins while daemons are killed: what is left agrees.  'make torture' has
# more of it.

load helper

@test "journal, catalogue, brokers and gsls agree after kill -9" {
	export B=${B:-$BATS_TEST_DIRNAME/../build}
	run -0 "$BATS_TEST_DIRNAME/services/storm" -t 6
	assert_match "all agrees" "$output"
}
