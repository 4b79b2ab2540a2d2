;; Accepts with a principal of random letters: 16 as `configure` got them, then 16 of each source as `evaluate` does.
(import "wasi:random/insecure@0.2.0" "get-insecure-random-u64" (func $insecure (result i64)))
(import "wasi:random/insecure-seed@0.2.0" "insecure-seed" (func $seed (param i32)))
(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
(import "wasi:random/random@0.2.0" "get-random-bytes" (func $bytes (param i64 i32)))

(func $letters (param $at i32) (param $bits i64)
  (local $end i32)
  (local.set $end (i32.add (local.get $at) (i32.const 16)))
  (loop $next
    (i32.store8 (local.get $at)
      (i32.add (i32.const 97) (i32.and (i32.wrap_i64 (local.get $bits)) (i32.const 15))))
    (local.set $bits (i64.shr_u (local.get $bits) (i64.const 4)))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $at) (local.get $end)))))

(func (export "configure") (param i32 i32 i32 i32) (result i32)
  (call $letters (i32.const 1024) (call $random))
  (call $configured))

(func (export "evaluate") (param i32) (result i32)
  (call $letters (i32.const 1040) (call $random))
  (call $letters (i32.const 1056) (call $insecure))
  (call $seed (i32.const 1120))
  (call $letters (i32.const 1072) (i64.load (i32.const 1120)))
  (call $bytes (i64.const 8) (i32.const 1120))
  (call $letters (i32.const 1088) (i64.load (i32.load (i32.const 1120))))
  (call $accept_as (i32.const 1024) (i32.const 80)))
