;; Writes to standard output and standard error, the last of it without an end of line.
(import "wasi:cli/stdout@0.2.9" "get-stdout" (func $stdout (result i32)))
(import "wasi:cli/stderr@0.2.9" "get-stderr" (func $stderr (result i32)))
(import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))

(data (i32.const 1024) "one\0atwo, th" "ree\0afour" "a warning\0a")

(func (export "evaluate") (param i32) (result i32)
  (local $stdout i32)
  (local.set $stdout (call $stdout))
  (call $write (local.get $stdout) (i32.const 1024) (i32.const 11) (i32.const 2048))
  (call $write (call $stderr) (i32.const 1043) (i32.const 10) (i32.const 2048))
  (call $write (local.get $stdout) (i32.const 1035) (i32.const 8) (i32.const 2048))
  (call $accept))
