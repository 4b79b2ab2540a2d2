#!/bin/sh
# A stdio server that does what its requests are named after. Ids are numbers.
tell() { printf '%s\n' "$1"; }
answer() { tell "{\"jsonrpc\":\"2.0\",\"id\":$1,\"result\":$2}"; }

[ -n "$PID_FILE" ] && echo $$ >>"$PID_FILE"
[ -n "$NEVER_START" ] && sleep 1000

while IFS= read -r line; do
    id=$(tell "$line" | sed -n 's/.*"id": *\([0-9]*\).*/\1/p')
    case $line in
    *'"method":"initialize"'*)
        answer "$id" '{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"hostile","version":"0"}}'
        ;;
    *'"method":"answer-and-exit"'*) answer "$id" '{}'; exit 0 ;;
    *'"method":"ask"'*) tell '{"jsonrpc":"2.0","id":"q1","method":"roots/list"}' ;;
    *'"method":"caller"'*) answer "$id" "[\"$PORTCULLIS_PRINCIPAL\",\"$PORTCULLIS_CERTIFICATE_SHA256\"]" ;;
    *'"method":"complain"'*) tell "complaint $(printf 'with \033[31mcolour')" >&2; answer "$id" '{}' ;;
    *'"method":"die"'*) exit 3 ;;
    *'"method":"echo"'*) answer "$id" "$line" ;;
    *'"method":"environment"'*) answer "$id" "\"$(env | cut -d= -f1 | sort | tr '\n' ' ')\"" ;;
    *'"method":"flood"'*)
        while :; do tell '{"jsonrpc":"2.0","method":"notifications/message","params":{}}'; done
        ;;
    *'"method":"garbage"'*) tell 'not JSON'; tell '[]'; tell ''; answer "$id" '{}' ;;
    *'"method":"hang"'*) ;;
    *'"method":"limits"'*) answer "$id" "[$(ulimit -n), $(ulimit -t), $(ulimit -v)]" ;;
    *'"method":"long-answer"'*)
        printf '{"result":"'
        head -c 5000000 /dev/zero | tr '\0' x
        tell "\",\"jsonrpc\":\"2.0\",\"id\":$id}"
        ;;
    *'"method":"long"'*) head -c 3000000 /dev/zero | tr '\0' x ;;
    *'"method":"orphan"'*) trap '' TERM HUP; sleep 1000 & answer "$id" "$!" ;;
    *'"method":"progress"'*)
        tell '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}'
        answer "$id" '{}'
        ;;
    *'"method":"tell-everybody"'*)
        tell '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
        answer "$id" '{}'
        ;;
    *'"method":"tools/call"'*) answer "$id" '{"content":[]}' ;;
    *'"method":"tools/list"'*) answer "$id" '{"tools":[{"name":"get_time"},{"name":"set_time"}]}' ;;
    *'"id":"q1"'*) tell "{\"jsonrpc\":\"2.0\",\"id\":$(cat "$PID_FILE.id"),\"result\":$line}" ;;
    esac
    case $line in *'"method":"ask"'*) echo "$id" >"$PID_FILE.id" ;; esac
done
