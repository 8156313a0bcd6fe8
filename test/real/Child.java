import com.sun.net.httpserver.HttpServer;
import java.io.*;
import java.net.InetSocketAddress;

/** Answers through a child process, cat(1).  Child PORT */
public class Child {
    public static void main(String[] args) throws Exception {
        Process child = new ProcessBuilder("cat").start();
        BufferedReader from = child.inputReader();
        BufferedWriter to = child.outputWriter();
        HttpServer server = HttpServer.create(
            new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
        server.createContext("/", exchange -> {
            to.write(exchange.getRequestURI().getPath().substring(1) + "\n");
            to.flush();
            byte[] answer = ("child says " + from.readLine() + "\n").getBytes();
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }
}
