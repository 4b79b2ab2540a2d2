;; Runs before any export does.
(func $start (loop $forever (br $forever)))
(start $start)
