;; Accepts from 08:00 to midnight, UTC.
(data (i32.const 1024) "closed")
(func (export "evaluate") (param $handshake i32) (result i32)
  (if (result i32)
    (i64.ge_s
      (i64.rem_s (call $time (local.get $handshake)) (i64.const 86400))
      (i64.const 28800))
    (then (call $accept))
    (else (call $reject (i32.const 1024) (i32.const 6)))))
