import OttlaFFI

/// A call that waits. Cancelling the task ends it in the core: a future of Rust's would not notice
/// by itself, so a token tells it.
func cancellable<T: Sendable>(
    _ call: @Sendable (CancelToken) async throws -> T
) async throws -> T {
    try Task.checkCancellation()
    let token = CancelToken()
    do {
        return try await withTaskCancellationHandler {
            try await call(token)
        } onCancel: {
            token.cancel()
        }
    } catch let error as NativeError {
        throw ottlaError(error)
    }
}

/// A call that does not wait.
func immediate<T>(_ call: () throws -> T) throws -> T {
    do {
        return try call()
    } catch let error as NativeError {
        throw ottlaError(error)
    }
}

private func ottlaError(_ error: NativeError) -> any Error {
    switch error {
    case .Failed(let details):
        let error = OttlaError(details)
        return error.kind == .cancelled ? CancellationError() : error
    }
}
