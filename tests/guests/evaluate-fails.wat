(data (i32.const 1024) "no answer")
(func (export "evaluate") (param i32) (result i32)
  (call $evaluate_fails (i32.const 1024) (i32.const 9)))
