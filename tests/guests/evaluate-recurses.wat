;; Not a tail call, so that every level takes a part of the stack.
(func $deeper (param i32) (result i32)
  (i32.add (i32.const 1) (call $deeper (i32.add (i32.const 1) (local.get 0)))))
(func (export "evaluate") (param i32) (result i32) (call $deeper (i32.const 0)))
