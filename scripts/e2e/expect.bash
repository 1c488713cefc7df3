# Checks that count. Sourced by run.

passed=0
failed=0

pass() {
  passed=$((passed + 1))
}

fail() { # NAME WHAT
  failed=$((failed + 1))
  printf 'FAILED %s: %s\n' "$1" "$2"
}

# expect NAME WANTED GOT: the two are the same.
expect() {
  if [[ $3 == "$2" ]]; then pass; else fail "$1" "wanted $(printf %q "$2"), got $(printf %q "${3:0:300}")"; fi
}

# expect_part NAME PART GOT: the text holds the part, whatever its case.
expect_part() {
  if [[ ${3,,} == *"${2,,}"* ]]; then pass; else fail "$1" "no $(printf %q "$2") in $(printf %q "${3:0:300}")"; fi
}
