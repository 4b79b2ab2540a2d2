;; What no snapshot can hold, and so keeps a guest from being snapshotted.
(global $reference (mut funcref) (ref.null func))
