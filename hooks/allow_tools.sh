#!/bin/sh
# Lets the plugin's own tools run unasked: the matcher of hooks.json names them. A shell and not Python, because an
# iteration passes here for every call while a device waits. Planning stays planning; AUTORESEARCH_ALLOW=off asks again.
case "${AUTORESEARCH_ALLOW:-}" in off|OFF|0|no) exit 0 ;; esac
if grep -q '"permission_mode": *"plan"'; then exit 0; fi
echo '{"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "allow", "permissionDecisionReason": "a tool of the autoresearch plugin"}}'
