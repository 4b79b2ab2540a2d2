;; Looks for a secret that an instance before it may have left, in its memory, in the memory that it grows by and in
;; its globals, and rejects with `secret-found` if anything is there. Then it leaves the secret in all of them.
;; The test brings the places that keep a guest from being snapshotted, tables for one (`$found_elsewhere`,
;; `$leave_elsewhere`), and says how it ends (`$finish`).

(data (i32.const 1024) "secret-found")
(global $narrow (mut i32) (i32.const 0))
(global $wide (mut i64) (i64.const 0))

(func (export "evaluate") (param i32) (result i32)
  (if (call $found) (then (return (call $reject (i32.const 1024) (i32.const 12)))))
  (call $leave)
  (call $finish))

(func $found (result i32)
  (local $fresh i32)
  (if (i32.or (global.get $narrow) (i64.ne (global.get $wide) (i64.const 0))) (then (return (i32.const 1))))
  (if (call $found_elsewhere) (then (return (i32.const 1))))
  (if (call $found_secret (i32.const 0) (call $end_of_memory)) (then (return (i32.const 1))))
  ;; Two megabytes more, which must be zeros.
  (local.set $fresh (call $end_of_memory))
  (if (i32.eq (memory.grow (i32.const 32)) (i32.const -1)) (then (unreachable)))
  (call $found_any (local.get $fresh) (call $end_of_memory)))

(func $found_secret (param $at i32) (param $end i32) (result i32)
  (loop $next
    (if (i64.eq (i64.load (local.get $at)) (i64.const 0x7365637265742121)) (then (return (i32.const 1))))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
  (i32.const 0))

(func $found_any (param $at i32) (param $end i32) (result i32)
  (loop $next
    (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (return (i32.const 1))))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
  (i32.const 0))

(func $leave
  (global.set $narrow (i32.const 0x73656372))
  (global.set $wide (i64.const 0x7365637265742121))
  (call $leave_elsewhere)
  (call $leave_in_memory (i32.const 8192) (call $end_of_memory)))

(func $leave_in_memory (param $at i32) (param $end i32)
  (loop $next
    (i64.store (local.get $at) (i64.const 0x7365637265742121))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (br_if $next (i32.lt_u (local.get $at) (local.get $end)))))

(func $end_of_memory (result i32) (i32.shl (memory.size) (i32.const 16)))
