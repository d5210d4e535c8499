// pause holds a Pod's namespaces: it does nothing until a signal ends it. As
// the first process of a shared PID namespace it also collects the processes
// that others left behind. In C, because each Pod has one, and Go's runtime
// would be most of its memory.
//
// What PAUSE_SAYS holds is written to the log first.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int sig) { _exit(0); }

static void collect(int sig) {
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

int main(void) {
  struct sigaction ending = {.sa_handler = end}, collecting = {.sa_handler = collect, .sa_flags = SA_NOCLDSTOP};
  if (sigaction(SIGINT, &ending, NULL) || sigaction(SIGTERM, &ending, NULL) || sigaction(SIGCHLD, &collecting, NULL)) {
    perror("pause: handle signals");
    return 1;
  }
  const char *text = getenv("PAUSE_SAYS");
  if (text) {
    puts(text);
    fflush(stdout);
  }
  for (;;) {
    pause();
  }
}
